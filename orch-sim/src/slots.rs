//! What a service's slots should have, by rules of our own.

use std::collections::BTreeSet;

use orch_core::cluster::Cluster;
use orch_core::node::{Node, NodeStatus};
use orch_core::service::{Publish, RestartCondition, Service};
use orch_core::task::{DesiredStatus, Slot, Task, TaskStatus};

/// The slots whose newest task came to an end that is meant to be one.
#[must_use]
pub fn finished(image: &Cluster, service: &Service) -> BTreeSet<Slot> {
    let tasks: Vec<_> = image.tasks_of_service(service.id).collect();
    let ended = |slot: &Slot| {
        let newest = tasks
            .iter()
            .filter(|task| task.slot == *slot)
            .max_by_key(|task| (task.created_at, task.failures_before, task.id));
        newest.is_some_and(|task| {
            let condition = image.revision_of(task).map(|of| of.spec.template.restart.condition);
            task.desired == DesiredStatus::Running
                && match (&task.status, condition) {
                    (TaskStatus::Stopped(_) | TaskStatus::Failed(_), Some(RestartCondition::Never)) => true,
                    (TaskStatus::Stopped(exit), Some(RestartCondition::OnFailure)) => {
                        exit.as_ref().is_none_or(orch_core::task::Exit::is_success)
                    }
                    _ => false,
                }
        })
    };
    (1..=service.spec.replicas).map(Slot).filter(ended).collect()
}

/// Whether a task waits for a node, and rightly so.
#[must_use]
pub fn fits_nowhere(image: &Cluster, task: &Task) -> bool {
    task.is_active()
        && task.status == TaskStatus::Pending
        && !image.nodes().any(|node| fits(image, node, task))
}

fn fits(image: &Cluster, node: &Node, task: &Task) -> bool {
    let Some(revision) = image.revision_of(task) else { return false };
    let there: Vec<_> = image.tasks_on_node(node.id).filter(|other| other.occupies_node()).collect();
    let mut reserved = task.requests;
    there.iter().for_each(|other| reserved += other.requests);
    let free = |port: &orch_core::service::PortSpec| match port.publish {
        Publish::Dynamic => true,
        Publish::Fixed(fixed) => {
            !there.iter().flat_map(|other| &other.ports).any(|taken| taken.host_port == fixed)
        }
    };
    node.status == NodeStatus::Ready
        && !node.cordoned
        && reserved.fits_in(node.allocatable)
        && revision.spec.template.ports.iter().all(free)
}
