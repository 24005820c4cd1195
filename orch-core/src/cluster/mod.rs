//! [`Cluster`]: the whole live state in memory, and how it changes.
//!
//! The maps share structure, so a clone is cheap: readers hold an `Arc` of one image and never block the writer.

pub mod apply;
pub mod capacity;
pub mod change;
pub mod index;
pub mod invariants;
pub mod transaction;

use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use capacity::Capacity;
pub use change::{Change, Key, NamespaceRecord};
pub use index::{Index, NodeUsage};
pub use transaction::{Committed, Transaction, fold};

use crate::deployment::Deployment;
use crate::id::{ApiTokenId, ClusterId, DeploymentId, EnrollmentTokenId, NodeId, ServiceId, TaskId};
use crate::identity::{EnrollmentToken, NodeCredential};
use crate::name::{Namespace, NodeName, ServiceName, Subject};
use crate::node::Node;
use crate::record::{Receipt, ReceiptKey};
use crate::service::{Service, ServiceRevision, Version};
use crate::task::Task;
use crate::user::{ApiToken, User};

/// A place in the cluster's history: how many transactions led here. Gapless.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The live state. Changed only by [`Cluster::apply`].
#[derive(Clone, Debug)]
pub struct Cluster {
    id: ClusterId,
    revision: Revision,
    namespaces: OrdMap<Namespace, Arc<NamespaceRecord>>,
    nodes: OrdMap<NodeId, Arc<Node>>,
    credentials: OrdMap<NodeId, Arc<NodeCredential>>,
    enrollment_tokens: OrdMap<EnrollmentTokenId, Arc<EnrollmentToken>>,
    services: OrdMap<ServiceId, Arc<Service>>,
    service_revisions: OrdMap<(ServiceId, Version), Arc<ServiceRevision>>,
    tasks: OrdMap<TaskId, Arc<Task>>,
    deployments: OrdMap<DeploymentId, Arc<Deployment>>,
    receipts: OrdMap<ReceiptKey, Arc<Receipt>>,
    users: OrdMap<Subject, Arc<User>>,
    api_tokens: OrdMap<ApiTokenId, Arc<ApiToken>>,
    index: Index,
}

impl Cluster {
    /// An empty cluster, before its first transaction.
    #[must_use]
    pub fn new(id: ClusterId) -> Self {
        Self {
            id,
            revision: Revision::default(),
            namespaces: OrdMap::new(),
            nodes: OrdMap::new(),
            credentials: OrdMap::new(),
            enrollment_tokens: OrdMap::new(),
            services: OrdMap::new(),
            service_revisions: OrdMap::new(),
            tasks: OrdMap::new(),
            deployments: OrdMap::new(),
            receipts: OrdMap::new(),
            users: OrdMap::new(),
            api_tokens: OrdMap::new(),
            index: Index::default(),
        }
    }

    /// The cluster that rows loaded from a store describe.
    #[must_use]
    pub fn from_rows(id: ClusterId, revision: Revision, rows: impl IntoIterator<Item = Change>) -> Self {
        let mut cluster = Self::new(id);
        cluster.revision = revision;
        for row in rows {
            match row {
                // What is left of a node is known once every task is there.
                Change::Node(node) => cluster.put_node(&node),
                row => cluster.apply_change(&row),
            }
        }
        for node in cluster.nodes.values() {
            cluster.index.capacity.put(node, cluster.index.usage.get(&node.id));
        }
        cluster
    }

    /// Which cluster this is.
    #[must_use]
    pub const fn id(&self) -> ClusterId {
        self.id
    }

    /// The last transaction applied.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What is derived from the rows.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// A namespace by name. `default` is always there.
    #[must_use]
    pub fn has_namespace(&self, name: &Namespace) -> bool {
        name.as_str() == "default" || self.namespaces.contains_key(name)
    }

    /// The namespaces that were made, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceRecord>> {
        self.namespaces.values()
    }

    /// A node by id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(&id)
    }

    /// A node by name.
    #[must_use]
    pub fn node_named(&self, name: &NodeName) -> Option<&Arc<Node>> {
        self.index.node_by_name.get(name).and_then(|id| self.nodes.get(id))
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    /// A node's credential.
    #[must_use]
    pub fn credential(&self, node: NodeId) -> Option<&Arc<NodeCredential>> {
        self.credentials.get(&node)
    }

    /// All credentials, by node.
    pub fn credentials(&self) -> impl Iterator<Item = &Arc<NodeCredential>> {
        self.credentials.values()
    }

    /// An enrolment token by id, ended ones that are still kept included.
    #[must_use]
    pub fn enrollment_token(&self, id: EnrollmentTokenId) -> Option<&Arc<EnrollmentToken>> {
        self.enrollment_tokens.get(&id)
    }

    /// All enrolment tokens, by id, ended ones that are still kept included.
    pub fn enrollment_tokens(&self) -> impl Iterator<Item = &Arc<EnrollmentToken>> {
        self.enrollment_tokens.values()
    }

    /// A service by id, deleted ones included.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&Arc<Service>> {
        self.services.get(&id)
    }

    /// The living service of that name: active or deleting.
    #[must_use]
    pub fn service_named(&self, namespace: &Namespace, name: &ServiceName) -> Option<&Arc<Service>> {
        let key = (namespace.clone(), name.clone());
        self.index.service_by_name.get(&key).and_then(|id| self.services.get(id))
    }

    /// All services, by id, deleted ones included.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// One version of a service.
    #[must_use]
    pub fn service_revision(&self, service: ServiceId, version: Version) -> Option<&Arc<ServiceRevision>> {
        self.service_revisions.get(&(service, version))
    }

    /// The versions of a service that are kept, oldest first.
    pub fn service_revisions(&self, service: ServiceId) -> impl Iterator<Item = &Arc<ServiceRevision>> {
        self.service_revisions
            .range((service, Version(0))..=(service, Version(u32::MAX)))
            .map(|(_, revision)| revision)
    }

    /// The revision that a task runs.
    #[must_use]
    pub fn revision_of(&self, task: &Task) -> Option<&Arc<ServiceRevision>> {
        self.service_revision(task.service, task.version)
    }

    /// A task by id.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Arc<Task>> {
        self.tasks.get(&id)
    }

    /// All tasks, by id.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.values()
    }

    /// The tasks of a service, by id, ended ones that are still kept included.
    pub fn tasks_of_service(&self, service: ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        self.index.tasks_of_service(service).filter_map(|id| self.tasks.get(&id))
    }

    /// The tasks of a node, by id, ended ones that are still kept included.
    pub fn tasks_on_node(&self, node: NodeId) -> impl Iterator<Item = &Arc<Task>> {
        self.index.tasks_on_node(node).filter_map(|id| self.tasks.get(&id))
    }

    /// A deployment by id.
    #[must_use]
    pub fn deployment(&self, id: DeploymentId) -> Option<&Arc<Deployment>> {
        self.deployments.get(&id)
    }

    /// All deployments, by id.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.deployments.values()
    }

    /// The deployments of a service, oldest first.
    #[must_use]
    pub fn deployments_of(&self, service: ServiceId) -> Vec<&Arc<Deployment>> {
        let mut all: Vec<_> =
            self.index.deployments_of(service).filter_map(|id| self.deployments.get(&id)).collect();
        all.sort_by_key(|d| (d.created_at, d.id));
        all
    }

    /// The deployment of a service that has not ended, if any. There is at most one.
    #[must_use]
    pub fn active_deployment(&self, service: ServiceId) -> Option<&Arc<Deployment>> {
        self.index
            .deployments_of(service)
            .filter_map(|id| self.deployments.get(&id))
            .find(|deployment| !deployment.status.is_terminal())
    }

    /// A receipt.
    #[must_use]
    pub fn receipt(&self, key: &ReceiptKey) -> Option<&Arc<Receipt>> {
        self.receipts.get(key)
    }

    /// All receipts, by key.
    pub fn receipts(&self) -> impl Iterator<Item = &Arc<Receipt>> {
        self.receipts.values()
    }

    /// A user by name, removed ones included.
    #[must_use]
    pub fn user(&self, name: &Subject) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// All users, by name, removed ones included.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values()
    }

    /// An API token by id.
    #[must_use]
    pub fn api_token(&self, id: ApiTokenId) -> Option<&Arc<ApiToken>> {
        self.api_tokens.get(&id)
    }

    /// All API tokens, by id.
    pub fn api_tokens(&self) -> impl Iterator<Item = &Arc<ApiToken>> {
        self.api_tokens.values()
    }

    /// The API tokens of a user, by id.
    pub fn api_tokens_of<'a>(&'a self, user: &'a Subject) -> impl Iterator<Item = &'a Arc<ApiToken>> {
        self.api_tokens.values().filter(move |token| token.user == *user)
    }

    /// Every row, as changes: what a new store or a copy of this image is made from.
    pub fn rows(&self) -> impl Iterator<Item = Change> + '_ {
        let namespaces = self.namespaces.values().cloned().map(Change::Namespace);
        let nodes = self.nodes.values().cloned().map(Change::Node);
        let credentials = self.credentials.values().cloned().map(Change::Credential);
        let tokens = self.enrollment_tokens.values().cloned().map(Change::EnrollmentToken);
        let services = self.services.values().cloned().map(Change::Service);
        let revisions = self.service_revisions.values().cloned().map(Change::ServiceRevision);
        let tasks = self.tasks.values().cloned().map(Change::Task);
        let deployments = self.deployments.values().cloned().map(Change::Deployment);
        let receipts = self.receipts.values().cloned().map(Change::Receipt);
        let users = self.users.values().cloned().map(Change::User);
        let api_tokens = self.api_tokens.values().cloned().map(Change::ApiToken);
        namespaces
            .chain(nodes)
            .chain(credentials)
            .chain(tokens)
            .chain(services)
            .chain(revisions)
            .chain(tasks)
            .chain(deployments)
            .chain(receipts)
            .chain(users)
            .chain(api_tokens)
    }
}
