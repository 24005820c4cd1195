//! What is derived from the rows, kept in step by `apply`.

use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

use super::{Capacity, Revision};
use crate::id::{DeploymentId, NodeId, ServiceId, TaskId, TypedId as _};
use crate::name::{Namespace, NodeName, ServiceName};
use crate::node::Resources;
use crate::service::Protocol;
use crate::task::{DesiredStatus, Task};

/// Lookups that need no scan.
#[derive(Clone, Debug, Default)]
pub struct Index {
    pub(super) node_by_name: OrdMap<NodeName, NodeId>,
    pub(super) service_by_name: OrdMap<(Namespace, ServiceName), ServiceId>,
    pub(super) tasks_by_service: OrdSet<(ServiceId, TaskId)>,
    pub(super) tasks_by_node: OrdSet<(NodeId, TaskId)>,
    pub(super) deployments_by_service: OrdSet<(ServiceId, DeploymentId)>,
    pub(super) usage: OrdMap<NodeId, NodeUsage>,
    pub(super) capacity: Capacity,
    pub(super) desired_revision: OrdMap<NodeId, Revision>,
}

/// What the tasks of a node hold of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUsage {
    /// Reserved CPU and memory.
    pub reserved: Resources,
    /// Tasks that hold something.
    pub tasks: u32,
    /// Host ports taken. Each has one owner.
    pub ports: OrdSet<(Protocol, u16)>,
}

const FIRST: Uuid = Uuid::nil();
const LAST: Uuid = Uuid::max();

impl Index {
    /// The tasks of a service, by id.
    pub fn tasks_of_service(&self, service: ServiceId) -> impl Iterator<Item = TaskId> + '_ {
        let range = (service, TaskId::from_uuid(FIRST))..=(service, TaskId::from_uuid(LAST));
        self.tasks_by_service.range(range).map(|(_, task)| *task)
    }

    /// The tasks of a node, by id.
    pub fn tasks_on_node(&self, node: NodeId) -> impl Iterator<Item = TaskId> + '_ {
        let range = (node, TaskId::from_uuid(FIRST))..=(node, TaskId::from_uuid(LAST));
        self.tasks_by_node.range(range).map(|(_, task)| *task)
    }

    /// The deployments of a service, by id.
    pub fn deployments_of(&self, service: ServiceId) -> impl Iterator<Item = DeploymentId> + '_ {
        let range = (service, DeploymentId::from_uuid(FIRST))..=(service, DeploymentId::from_uuid(LAST));
        self.deployments_by_service.range(range).map(|(_, deployment)| *deployment)
    }

    /// What is taken of a node; nothing where no task holds anything.
    #[must_use]
    pub fn usage(&self, node: NodeId) -> Option<&NodeUsage> {
        self.usage.get(&node)
    }

    /// What the nodes that take new tasks have left.
    #[must_use]
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// The transaction that last changed what a node should run.
    #[must_use]
    pub fn desired_revision(&self, node: NodeId) -> Revision {
        self.desired_revision.get(&node).copied().unwrap_or_default()
    }

    /// Takes the old row of a task out of every index and puts the new one in.
    pub(super) fn replace_task(&mut self, before: Option<&Task>, after: Option<&Task>, revision: Revision) {
        let asked = |task: &Task| task.preparation.as_ref().map(|asked| (asked.version, asked.since));
        let wanted = |task: &Task| (task.node, task.desired, task.version, task.ports.clone(), asked(task));
        if before.map(wanted) != after.map(wanted) {
            for node in [before, after].into_iter().flatten().filter_map(|task| task.node) {
                self.desired_revision.insert(node, revision);
            }
        }
        if before.map(holds) != after.map(holds) {
            if let Some(task) = before {
                self.release(task);
            }
            if let Some(task) = after {
                self.occupy(task);
            }
        }
        match (before, after) {
            (None, Some(task)) => {
                self.tasks_by_service.insert((task.service, task.id));
            }
            (Some(task), None) => {
                self.tasks_by_service.remove(&(task.service, task.id));
            }
            _ => {}
        }
        let (from, to) = (before.and_then(|task| task.node), after.and_then(|task| task.node));
        if from != to {
            if let (Some(task), Some(node)) = (before, from) {
                self.tasks_by_node.remove(&(node, task.id));
            }
            if let (Some(task), Some(node)) = (after, to) {
                self.tasks_by_node.insert((node, task.id));
            }
        }
    }

    fn occupy(&mut self, task: &Task) {
        let Some(node) = task.node.filter(|_| task.occupies_node()) else { return };
        let usage = self.usage.entry(node).or_default();
        usage.reserved += task.requests;
        usage.tasks += 1;
        for port in &task.ports {
            usage.ports.insert((port.protocol, port.host_port.get()));
        }
        self.capacity.take(node, usage);
    }

    fn release(&mut self, task: &Task) {
        let Some(node) = task.node.filter(|_| task.occupies_node()) else { return };
        let Some(usage) = self.usage.get_mut(&node) else { return };
        usage.reserved -= task.requests;
        usage.tasks = usage.tasks.saturating_sub(1);
        for port in &task.ports {
            usage.ports.remove(&(port.protocol, port.host_port.get()));
        }
        self.capacity.take(node, usage);
    }
}

/// What a task takes of its node, as far as a change of it must be booked.
fn holds(task: &Task) -> (Option<NodeId>, bool, Resources, Vec<(Protocol, u16)>) {
    let ports = task.ports.iter().map(|port| (port.protocol, port.host_port.get())).collect();
    (task.node, task.occupies_node(), task.requests, ports)
}

/// Whether a task is part of what its node is told. One that is to be removed is, until it is known to be at its end: an agent
/// that has nothing of it, since it was away while the task came and went, would else never say so.
#[must_use]
pub const fn is_desired_on_node(task: &Task) -> bool {
    task.node.is_some()
        && match task.desired {
            DesiredStatus::Running | DesiredStatus::Stopped => true,
            DesiredStatus::Removed => !task.status.is_terminal(),
        }
}
