//! The invariants that a single image can be held against, for tests, the simulation and debug builds.
//!
//! They speak of what the control plane decides. A node whose agent reports fewer resources than its tasks already hold is
//! reported as well: nothing was decided wrongly then, but someone should know.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{Index, NodeUsage};
use super::{Cluster, Key};
use crate::deployment::Deployment;
use crate::id::{ApiTokenId, DeploymentId, EnrollmentTokenId, NodeId, ServiceId, TaskId};
use crate::identity::{EnrollmentToken, NodeCredential};
use crate::node::{Node, NodeStatus};
use crate::service::{Service, ServiceStatus};
use crate::task::{Task, TaskStatus};
use crate::user::{ApiToken, User, UserKind, UserStatus};

/// Holds an image against every invariant.
///
/// # Errors
/// One sentence for each thing that is wrong.
pub fn check(cluster: &Cluster) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    names_are_unique(cluster, &mut wrong);
    for node in cluster.nodes() {
        node_holds(cluster, node, &mut wrong);
    }
    for credential in cluster.credentials() {
        credential_holds(cluster, credential, &mut wrong);
    }
    for token in cluster.enrollment_tokens() {
        token_holds(token, &mut wrong);
    }
    for service in cluster.services() {
        service_holds(cluster, service, &mut wrong);
    }
    for task in cluster.tasks() {
        task_holds(cluster, task, &mut wrong);
    }
    for deployment in cluster.deployments() {
        deployment_holds(deployment, &mut wrong);
    }
    for token in cluster.api_tokens() {
        api_token_holds(cluster, token, &mut wrong);
    }
    index_is_true(cluster, &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Holds an image against what a change of these rows can have broken, at a cost that grows with them and not with the image:
/// for looking at every image of a long history, with [`check`] now and then.
///
/// # Errors
/// One sentence for each thing that is wrong.
pub fn check_rows<'k>(cluster: &Cluster, rows: impl IntoIterator<Item = &'k Key>) -> Result<(), Vec<String>> {
    let (mut wrong, mut around) = (Vec::new(), Around::default());
    rows.into_iter().for_each(|key| around.take(cluster, key));
    if around.names {
        names_are_unique(cluster, &mut wrong);
    }
    for node in around.nodes {
        match cluster.node(node) {
            Some(row) => {
                node_holds(cluster, row, &mut wrong);
                usage_is_true(cluster, node, &mut wrong);
            }
            None => around.tasks.extend(cluster.tasks_on_node(node).map(|task| task.id)),
        }
        if let Some(credential) = cluster.credential(node) {
            credential_holds(cluster, credential, &mut wrong);
        }
    }
    for token in around.tokens.into_iter().filter_map(|id| cluster.enrollment_token(id)) {
        token_holds(token, &mut wrong);
    }
    for service in around.services {
        match cluster.service(service) {
            Some(row) => service_holds(cluster, row, &mut wrong),
            None => around.tasks.extend(cluster.tasks_of_service(service).map(|task| task.id)),
        }
    }
    for task in around.tasks.into_iter().filter_map(|task| cluster.task(task)) {
        task_holds(cluster, task, &mut wrong);
    }
    for deployment in around.deployments.into_iter().filter_map(|id| cluster.deployment(id)) {
        deployment_holds(deployment, &mut wrong);
    }
    for token in around.api_tokens.into_iter().filter_map(|id| cluster.api_token(id)) {
        api_token_holds(cluster, token, &mut wrong);
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What rows belong to.
#[derive(Default)]
struct Around {
    names: bool,
    nodes: BTreeSet<NodeId>,
    tokens: BTreeSet<EnrollmentTokenId>,
    services: BTreeSet<ServiceId>,
    tasks: BTreeSet<TaskId>,
    deployments: BTreeSet<DeploymentId>,
    api_tokens: BTreeSet<ApiTokenId>,
}

impl Around {
    fn take(&mut self, cluster: &Cluster, key: &Key) {
        match key {
            Key::Namespace(_) => self.names = true,
            Key::Node(node) => {
                self.names = true;
                self.nodes.insert(*node);
            }
            Key::Credential(node) => drop(self.nodes.insert(*node)),
            Key::Service(service) => {
                self.names = true;
                self.services.insert(*service);
            }
            Key::ServiceRevision(service, version) => {
                self.services.insert(*service);
                let of = cluster.tasks_of_service(*service).filter(|task| task.version == *version);
                self.tasks.extend(of.map(|task| task.id));
            }
            Key::Task(task) => {
                self.tasks.insert(*task);
                if let Some(row) = cluster.task(*task) {
                    self.services.insert(row.service);
                    self.nodes.extend(row.node);
                }
            }
            Key::Deployment(deployment) => {
                self.deployments.insert(*deployment);
                self.services.extend(cluster.deployment(*deployment).map(|row| row.service));
            }
            Key::EnrollmentToken(token) => drop(self.tokens.insert(*token)),
            Key::Receipt(_) => {}
            Key::User(name) => self.api_tokens.extend(cluster.api_tokens_of(name).map(|token| token.id)),
            Key::ApiToken(token) => drop(self.api_tokens.insert(*token)),
        }
    }
}

fn api_token_holds(cluster: &Cluster, token: &ApiToken, wrong: &mut Vec<String>) {
    let stands = |user: &User| {
        user.status == UserStatus::Active
            && user.kind == UserKind::ServiceAccount
            && user.accepts(Some(token.created_at))
    };
    if !cluster.user(&token.user).is_some_and(|user| stands(user)) {
        wrong.push(format!("token {} is of a user for whom none is good", token.id));
    }
}

fn credential_holds(cluster: &Cluster, credential: &NodeCredential, wrong: &mut Vec<String>) {
    let node = cluster.node(credential.node);
    if !node.is_some_and(|n| n.incarnation == credential.incarnation && n.status != NodeStatus::Revoked) {
        wrong
            .push(format!("node {} has a credential that no registration of it stands for", credential.node));
    }
    if credential.next.is_some_and(|next| next.generation <= credential.current.generation) {
        wrong.push(format!(
            "the next credential of node {} is not newer than its current one",
            credential.node
        ));
    }
}

/// A token admits no more nodes than it was made for, and is spent on each of them once: whoever did not hear the answer asks again
/// by his key.
fn token_holds(token: &EnrollmentToken, wrong: &mut Vec<String>) {
    if token.admitted.len() > token.uses as usize {
        wrong.push(format!("token {} admitted more nodes than its {}", token.id, token.uses));
    }
    let nodes: BTreeSet<_> = token.admitted.iter().map(|admission| admission.node).collect();
    if nodes.len() < token.admitted.len() {
        wrong.push(format!("token {} was spent on a node twice", token.id));
    }
}

fn deployment_holds(deployment: &Deployment, wrong: &mut Vec<String>) {
    if deployment.status.is_terminal() != deployment.completed_at.is_some() {
        wrong.push(format!("rollout {} has an end and no time of it, or the other way", deployment.id));
    }
}

fn names_are_unique(cluster: &Cluster, wrong: &mut Vec<String>) {
    let mut nodes = BTreeMap::new();
    for node in cluster.nodes() {
        if nodes.insert(&node.name, node.id).is_some() {
            wrong.push(format!("two nodes are named {}", node.name));
        }
    }
    let mut services = BTreeMap::new();
    for service in cluster.services().filter(|service| service.status != ServiceStatus::Deleted) {
        if services.insert((&service.namespace, &service.spec.name), service.id).is_some() {
            wrong.push(format!("two services in {} are named {}", service.namespace, service.spec.name));
        }
        if !cluster.has_namespace(&service.namespace) {
            wrong.push(format!("service {} lives in a namespace that is not there", service.id));
        }
    }
}

/// What is taken of a node is what its tasks hold.
fn usage_is_true(cluster: &Cluster, node: NodeId, wrong: &mut Vec<String>) {
    let mut usage = NodeUsage::default();
    for task in cluster.tasks_on_node(node).filter(|task| task.occupies_node()) {
        usage.reserved += task.requests;
        usage.tasks += 1;
        usage.ports.extend(task.ports.iter().map(|port| (port.protocol, port.host_port.get())));
    }
    if cluster.index.usage(node).cloned().unwrap_or_default() != usage {
        wrong.push(format!("the index of what is taken of node {node} is not what the rows say"));
    }
}

/// Invariant 2: no node holds more than it has to give, and no host port twice. Invariant 4: nothing counts on a revoked node.
fn node_holds(cluster: &Cluster, node: &Node, wrong: &mut Vec<String>) {
    let mut usage = NodeUsage::default();
    for task in cluster.tasks_on_node(node.id).filter(|task| task.occupies_node()) {
        usage.reserved += task.requests;
        for port in &task.ports {
            if usage.ports.insert((port.protocol, port.host_port.get())).is_some() {
                wrong.push(format!(
                    "port {}/{} of node {} has two owners",
                    port.host_port, port.protocol, node.name
                ));
            }
        }
        if node.status == NodeStatus::Revoked {
            wrong.push(format!("task {} counts on node {}, which is revoked", task.id, node.name));
        }
    }
    if !usage.reserved.fits_in(node.allocatable) {
        wrong.push(format!("the tasks of node {} reserve more than it has", node.name));
    }
}

fn service_holds(cluster: &Cluster, service: &Service, wrong: &mut Vec<String>) {
    let name = &service.spec.name;
    let active: Vec<_> = cluster
        .deployments_of(service.id)
        .into_iter()
        .filter(|deployment| !deployment.status.is_terminal())
        .collect();
    if active.len() > 1 {
        wrong.push(format!("service {name} has {} rollouts under way", active.len()));
    }
    for deployment in active {
        if service.status != ServiceStatus::Active || deployment.to_version != service.version {
            wrong.push(format!("rollout {} is under way to where service {name} does not go", deployment.id));
        }
    }
    match cluster.service_revision(service.id, service.version) {
        Some(revision) if revision.digest == service.spec.template.digest() => {}
        // Of a service that is deleted, the rows go one by one.
        _ if service.status == ServiceStatus::Deleted => {}
        _ => wrong.push(format!("service {name} is at a version that is not kept, or is another")),
    }
    if service.version > service.newest_version {
        wrong.push(format!("service {name} is at a version that never was"));
    }
    slots_have_one_owner(cluster, service, wrong);
}

/// Invariant 4: a stateful slot has one owner, from the placement until the end is reported.
fn slots_have_one_owner(cluster: &Cluster, service: &Service, wrong: &mut Vec<String>) {
    let mut owners = BTreeMap::new();
    if !service.spec.stateful {
        return;
    }
    for task in cluster.tasks_of_service(service.id).filter(|task| task.occupies_node()) {
        if owners.insert(task.slot, task.id).is_some() {
            wrong.push(format!(
                "slot {} of {}, which is stateful, has two owners",
                task.slot, service.spec.name
            ));
        }
    }
}

fn task_holds(cluster: &Cluster, task: &Task, wrong: &mut Vec<String>) {
    let id = task.id;
    match cluster.service(task.service) {
        None => wrong.push(format!("task {id} belongs to no service")),
        Some(service) if service.namespace != task.namespace => {
            wrong.push(format!("task {id} is in another namespace than its service"));
        }
        Some(service) if service.status == ServiceStatus::Deleted && task.is_active() => {
            wrong.push(format!("task {id} is wanted of a service that is deleted"));
        }
        Some(_) => {}
    }
    if task.status.is_terminal() {
        return;
    }
    if cluster.revision_of(task).is_none_or(|revision| revision.digest != task.digest) {
        wrong.push(format!("task {id} runs a version that is not kept, or is another"));
    }
    if task.node.is_none() != (task.status == TaskStatus::Pending) {
        wrong.push(format!(
            "task {id} is {} and has {} node",
            task.status.as_str(),
            task.node.map_or("no", |_| "a")
        ));
    }
    if task.node.is_some_and(|node| cluster.node(node).is_none()) {
        wrong.push(format!("task {id} counts on a node that is not there"));
    }
}

/// The index is what the rows say. Which transaction changed a node last is in no row, so that alone is not compared.
fn index_is_true(cluster: &Cluster, wrong: &mut Vec<String>) {
    let rebuilt = Cluster::from_rows(cluster.id, cluster.revision, cluster.rows());
    let used = |index: &Index| -> Vec<_> {
        let in_use = index.usage.iter().filter(|(_, usage)| **usage != NodeUsage::default());
        in_use.map(|(node, usage)| (*node, usage.clone())).collect()
    };
    let (index, truth) = (&cluster.index, &rebuilt.index);
    for (what, holds) in [
        ("nodes by name", index.node_by_name == truth.node_by_name),
        ("services by name", index.service_by_name == truth.service_by_name),
        ("tasks by service", index.tasks_by_service == truth.tasks_by_service),
        ("tasks by node", index.tasks_by_node == truth.tasks_by_node),
        ("rollouts by service", index.deployments_by_service == truth.deployments_by_service),
        ("use of nodes", used(index) == used(truth)),
        ("room on nodes", index.capacity.rooms() == truth.capacity.rooms()),
        ("room on nodes by branch", index.capacity.is_true_to_itself()),
    ] {
        if !holds {
            wrong.push(format!("the index of {what} is not what the rows say"));
        }
    }
}
