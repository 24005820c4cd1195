//! [`Site`]: a world with nodes, one service or more, and agents that do what they are told when they are told to.

use std::sync::Arc;
use std::time::Duration;

use orch_core::cluster::{Change, Key, Transaction};
use orch_core::command::{CreateService, RollOut, ScaleService};
use orch_core::deployment::{Deployment, DeploymentStatus};
use orch_core::id::{NodeId, ServiceId, TypedId as _};
use orch_core::name::Namespace;
use orch_core::node::{Node, NodeStatus, OfflineCause, Resources};
use orch_core::reconcile::{Plan, reconcile};
use orch_core::schedule::{Demand, FilterAndScore, fits};
use orch_core::service::{HealthCheck, Probe, Scheme, Service, ServiceSpec, Version};
use orch_core::task::Preparation;
use orch_core::task::{
    Attempt, DesiredStatus, Exit, Failure, FailureKind, Health, Prepared, Task, TaskStatus,
};
use orch_core::testing::World;

pub(crate) const MIB: u64 = 1 << 20;

/// Room for 40 tasks of `web_spec`.
pub(crate) const LARGE: Resources = Resources::new(4_000, 4_096 * MIB);

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) service: ServiceId,
    /// Nodes have what they are asked to have.
    pub(crate) images: bool,
}

/// Compares a plan with the lines expected of it; how far they are indented does not matter.
macro_rules! assert_plan {
    ($plan:expr, $expected:expr $(,)?) => {{
        let plan = $plan.to_string();
        let lines = |text: &str| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&plan), lines($expected), "\n{plan}");
    }};
}
pub(crate) use assert_plan;

impl Site {
    /// Nodes of these names, and a service, created but not looked at yet.
    pub(crate) fn new(nodes: &[&str], spec: ServiceSpec) -> Self {
        let mut world = World::new();
        for (i, name) in nodes.iter().enumerate() {
            // Ids in the order of the names: they decide between equal nodes.
            let drawn = world.register_node(name, LARGE);
            let node = Node::clone(world.cluster.node(drawn).expect("it was just made"));
            let mut transaction = Transaction::default();
            transaction.remove(Key::Credential(drawn));
            transaction.remove(Key::Node(drawn));
            transaction.put(Node { id: NodeId::from_uuid(uuid::Uuid::from_u128(i as u128 + 1)), ..node });
            world.apply(transaction);
        }
        let command = CreateService { namespace: Namespace::default_namespace(), spec };
        let service = world.execute(command).expect("the spec is in order").id;
        Self { world, service, images: true }
    }

    /// The same, up and quiet.
    pub(crate) fn settled(nodes: &[&str], spec: ServiceSpec) -> Self {
        let mut site = Self::new(nodes, spec);
        site.settle();
        site
    }

    /// One look: what it plans is applied, and a second look must find nothing more.
    pub(crate) fn look(&mut self) -> Plan {
        let plan = self.look_once();
        let again = self.plan_as_it_is();
        assert!(again.transaction.is_empty(), "not idempotent:\n{plan}then:\n{again}");
        plan
    }

    /// One look, of a plan that may be cut at its bound.
    pub(crate) fn look_once(&mut self) -> Plan {
        let plan = self.plan();
        for event in &plan.transaction.events {
            assert_eq!(event.service(), Some(self.service), "not among the service's events: {event:?}");
        }
        self.world.apply(plan.transaction.clone());
        self.assert_invariants();
        plan
    }

    /// What would be planned now.
    pub(crate) fn plan(&mut self) -> Plan {
        if self.images {
            self.have_images();
        }
        self.plan_as_it_is()
    }

    fn plan_as_it_is(&mut self) -> Plan {
        let service = self.service;
        self.world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx))
    }

    /// Each node has the image of what is to take the place of its tasks, and has said so.
    fn have_images(&mut self) {
        let (version, since) = (self.row().version, self.world.now);
        let begun = self.world.cluster.active_deployment(self.service);
        let begun = begun.map(|deployment| deployment.continued_at.unwrap_or(deployment.created_at));
        for task in self.tasks().iter().filter(|task| task.is_active() && task.version != version) {
            let is_said = |asked: &Preparation| {
                asked.version == version
                    && begun.is_none_or(|at| asked.since >= at)
                    && asked.answer == Some(Prepared::Ready)
            };
            if !task.preparation.as_ref().is_some_and(is_said) {
                let preparation = Some(Preparation { version, since, answer: Some(Prepared::Ready) });
                self.put(Task { preparation, ..Task::clone(task) });
            }
        }
    }

    pub(crate) fn assert_quiet(&mut self) {
        let plan = self.plan();
        assert!(plan.transaction.is_empty(), "not quiet:\n{plan}");
    }

    /// Looks, agents and time take turns until nothing happens any more. Returns how many rounds that took.
    pub(crate) fn settle(&mut self) -> usize {
        for round in 0..200 {
            let mut busy = !self.look().transaction.is_empty();
            busy |= self.agents();
            self.advance(6);
            if !busy && self.plan().transaction.is_empty() {
                return round;
            }
        }
        panic!("does not settle:\n{}\n{}", self.plan(), self.describe());
    }

    /// Every agent that is reachable does what it is told: starts, and serves at once; stops, and removes. Whether any had to.
    pub(crate) fn agents(&mut self) -> bool {
        self.agents_that(|task| match task.desired {
            DesiredStatus::Removed => Some(TaskStatus::Removed),
            _ if task.status.is_terminal() => None,
            _ => Some(TaskStatus::Running(Health::Unchecked)),
        })
    }

    /// Every reachable agent reports what `says` says of each of its tasks, if that is news.
    pub(crate) fn agents_that(&mut self, says: impl Fn(&Task) -> Option<TaskStatus>) -> bool {
        let cluster = &self.world.cluster;
        let answers = |task: &Task| {
            let node = task.node.and_then(|node| cluster.node(node));
            node.is_some_and(|node| matches!(node.status, NodeStatus::Ready | NodeStatus::Draining))
        };
        let tasks: Vec<Arc<Task>> =
            cluster.tasks_of_service(self.service).filter(|task| answers(task)).cloned().collect();
        let mut busy = false;
        for task in tasks {
            let checked = cluster_has_check(&self.world, &task);
            let status = match says(&task) {
                Some(TaskStatus::Running(Health::Unchecked)) if checked => {
                    TaskStatus::Running(Health::Healthy)
                }
                Some(status) => status,
                None => continue,
            };
            if status != task.status {
                busy = true;
                self.set(&task, |task| task.status = status);
            }
        }
        busy
    }

    /// The agent of a task's node says this of the image that it was asked to have.
    pub(crate) fn answer(&mut self, task: &Task, answer: Prepared) {
        let mut row = Task::clone(task);
        row.preparation.as_mut().expect("it was asked").answer = Some(answer);
        self.put(row);
    }

    /// Writes a task as its agent would have it.
    pub(crate) fn set(&mut self, task: &Task, change: impl FnOnce(&mut Task)) {
        let mut row = Task::clone(self.world.cluster.task(task.id).expect("the task is there"));
        change(&mut row);
        row.status_since = self.world.now;
        if row.status.is_running() {
            row.started_at.get_or_insert(self.world.now);
        }
        if row.status.is_terminal() {
            row.finished_at = Some(self.world.now);
        }
        self.put(row);
    }

    /// The newest task of a slot that is wanted.
    pub(crate) fn task(&self, slot: u32) -> Arc<Task> {
        let tasks = self.tasks().into_iter().filter(|task| task.slot.0 == slot && task.is_active());
        tasks.max_by_key(|task| (task.created_at, task.version)).expect("the slot has a task")
    }

    /// The wanted task of a slot runs, and is found to serve or not.
    pub(crate) fn health(&mut self, slot: u32, health: Health) {
        let task = self.task(slot);
        self.set(&task, |task| task.status = TaskStatus::Running(health));
    }

    /// The agent gives up the wanted task of a slot.
    pub(crate) fn fail(&mut self, slot: u32, kind: FailureKind) {
        self.world.advance(Duration::from_micros(1));
        let task = self.task(slot);
        let failure = Failure { kind, reason: format!("{kind:?}").to_lowercase(), exit: None };
        self.set(&task, |task| task.status = TaskStatus::Failed(failure));
    }

    /// The wanted task of a slot ends with an exit code, and is not started again.
    pub(crate) fn exit(&mut self, slot: u32, code: i32) {
        let task = self.task(slot);
        let exit = Exit { code: Some(code), ..Exit::default() };
        self.set(&task, |task| task.status = TaskStatus::Stopped(Some(exit)));
    }

    /// The agent starts the wanted task of a slot again and again.
    pub(crate) fn attempt(&mut self, slot: u32, attempt: u32) {
        let task = self.task(slot);
        self.set(&task, |task| {
            task.attempt = Attempt(attempt);
            task.status = TaskStatus::Starting;
            task.last_exit = Some(Exit { code: Some(1), ..Exit::default() });
        });
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.world.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn put(&mut self, row: impl Into<Change>) {
        let mut transaction = Transaction::default();
        transaction.put(row);
        self.world.apply(transaction);
    }

    pub(crate) fn scale(&mut self, replicas: u32) {
        let command = ScaleService { service: self.service, replicas, expected: None };
        self.world.execute(command).expect("the service can be scaled");
    }

    /// A rollout of another image, with these limits.
    pub(crate) fn roll_out(&mut self, image: &str, max_unavailable: u32, max_surge: u32) {
        self.advance(1);
        self.world
            .execute(RollOut {
                service: self.service,
                image: image.parse().expect("an image"),
                max_unavailable: Some(max_unavailable),
                max_surge: Some(max_surge),
            })
            .expect("the rollout can begin");
    }

    pub(crate) fn change_node(&mut self, name: &str, change: impl FnOnce(&mut Node)) -> NodeId {
        let node = self.world.cluster.node_named(&name.parse().expect("a node name")).expect("a node");
        let mut row = Node::clone(node);
        change(&mut row);
        let id = row.id;
        self.put(row);
        id
    }

    pub(crate) fn drain(&mut self, name: &str) {
        self.change_node(name, |node| node.status = node.status.drain().expect("the node stands"));
    }

    pub(crate) fn gone(&mut self, name: &str, cause: OfflineCause) {
        let now = self.world.now;
        self.change_node(name, |node| node.status = node.status.gone(now, cause));
    }

    pub(crate) fn back(&mut self, name: &str) {
        self.change_node(name, |node| node.status = node.status.seen().expect("the node stands"));
    }

    pub(crate) fn row(&self) -> &Arc<Service> {
        self.world.cluster.service(self.service).expect("the service is there")
    }

    /// The deployment under way, or else the newest.
    pub(crate) fn deployment(&self) -> Arc<Deployment> {
        if let Some(active) = self.world.cluster.active_deployment(self.service) {
            return Arc::clone(active);
        }
        let all = self.world.cluster.deployments_of(self.service);
        Arc::clone(all.last().expect("there is one from the start"))
    }

    pub(crate) fn deployment_is(&self, status: DeploymentStatus) {
        let deployment = self.deployment();
        assert_eq!(deployment.status, status, "{:?}", deployment.reason);
    }

    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        self.world.cluster.tasks_of_service(self.service).cloned().collect()
    }

    /// Slot, version and node of each task that is wanted, by slot.
    pub(crate) fn running(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for task in self.tasks().iter().filter(|task| task.is_active()) {
            let node = task.node.and_then(|node| self.world.cluster.node(node));
            let node = node.map_or("-", |node| node.name.as_str());
            lines.push(format!("{} v{} {node}", task.slot, task.version));
        }
        lines.sort();
        lines.join(", ")
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        self.tasks().iter().filter(|task| task.is_active()).map(|task| task.version).collect()
    }

    pub(crate) fn available(&self) -> usize {
        self.tasks().iter().filter(|task| self.is_available(task)).count()
    }

    /// Written out here a second time, on purpose: it is what the reconciler is held against.
    pub(crate) fn is_available(&self, task: &Task) -> bool {
        let min_healthy = match self.world.cluster.active_deployment(self.service) {
            Some(deployment) => deployment.policy.min_healthy,
            None => self.row().spec.rollout.min_healthy,
        };
        let node = task.node.and_then(|node| self.world.cluster.node(node));
        let reachable =
            node.is_some_and(|node| matches!(node.status, NodeStatus::Ready | NodeStatus::Draining));
        let serves = match task.status {
            TaskStatus::Running(Health::Healthy) => true,
            TaskStatus::Running(Health::Unchecked) => {
                !cluster_has_check(&self.world, task) && task.status_since + min_healthy <= self.world.now
            }
            _ => false,
        };
        task.is_active() && reachable && serves
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for task in self.tasks() {
            let node = task.node.and_then(|node| self.world.cluster.node(node));
            let node = node.map_or("-", |node| node.name.as_str());
            text += &format!(
                "{} v{} on {node}: {} {} {:?}\n",
                task.slot,
                task.version,
                task.desired.as_str(),
                task.status.as_str(),
                task.stop_cause
            );
        }
        for deployment in self.world.cluster.deployments_of(self.service) {
            let (to, status) = (deployment.to_version, deployment.status.as_str());
            text += &format!("rollout to {to}: {status} {:?}\n", deployment.reason);
        }
        text
    }

    /// What must hold of every image: invariants 2 and 4.
    pub(crate) fn assert_invariants(&self) {
        let cluster = &self.world.cluster;
        for node in cluster.nodes() {
            let mut used = Resources::default();
            let mut ports = std::collections::BTreeSet::new();
            for task in cluster.tasks_on_node(node.id).filter(|task| task.occupies_node()) {
                used += task.requests;
                for port in &task.ports {
                    assert!(
                        ports.insert((port.protocol, port.host_port)),
                        "port {} twice on {}",
                        port.host_port,
                        node.name
                    );
                }
            }
            assert!(used.fits_in(node.allocatable), "{} is given more than it has", node.name);
            // The scheduler's own rule says the same: each task fits beside the others (M14).
            for task in cluster.tasks_on_node(node.id).filter(|task| task.occupies_node()) {
                let mut others = cluster.index().usage(node.id).cloned().unwrap_or_default();
                others.reserved -= task.requests;
                for port in &task.ports {
                    others.ports.remove(&(port.protocol, port.host_port.get()));
                }
                assert_eq!(fits(node, &others, &Demand::of_task(task)), Ok(()));
            }
        }
        for task in cluster.tasks().filter(|task| task.is_active()) {
            let Some(node) = task.node else { continue };
            let node = cluster.node(node).expect("no task counts on a node that is not there");
            assert_ne!(node.status, NodeStatus::Revoked, "a task counts on a revoked node");
        }
        if self.row().spec.stateful {
            let mut owners = std::collections::BTreeMap::new();
            for task in self.tasks().iter().filter(|task| !task.status.is_terminal()) {
                *owners.entry(task.slot).or_insert(0) += 1;
            }
            assert!(owners.values().all(|owners| *owners <= 1), "two owners:\n{}", self.describe());
        }
    }
}

fn cluster_has_check(world: &World, task: &Task) -> bool {
    world.cluster.revision_of(task).is_some_and(|revision| revision.spec.template.health.is_some())
}

/// A health check on the port of `web_spec`.
pub(crate) fn check() -> HealthCheck {
    HealthCheck {
        probe: Probe::Http {
            port: 8080.try_into().expect("not zero"),
            path: "/".to_owned(),
            scheme: Scheme::Http,
        },
        start_period: Duration::ZERO,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
        healthy_threshold: 1,
        unhealthy_threshold: 3,
    }
}
