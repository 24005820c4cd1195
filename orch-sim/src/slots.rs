//! What a service's slots should have, by rules of our own.

use std::collections::BTreeSet;

use orch_core::cluster::Cluster;
use orch_core::id::ServiceId;
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

/// The slots in which nothing runs any more, nor should. Where a rollout was broken off, an ended task of the version that
/// was given up may be newer than the one that still serves: such a slot is not at its end.
#[must_use]
pub fn at_their_end(image: &Cluster, service: &Service) -> BTreeSet<Slot> {
    let mut ended = finished(image, service);
    for task in image.tasks_of_service(service.id).filter(|task| task.is_active()) {
        ended.remove(&task.slot);
    }
    ended
}

/// Whether a service waits for room that there is not.
#[must_use]
pub fn waits_in_vain(image: &Cluster, service: ServiceId) -> bool {
    image.tasks_of_service(service).any(|task| fits_nowhere(image, task))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use orch_core::command::CreateService;
    use orch_core::name::Namespace;
    use orch_core::node::Resources;
    use orch_core::service::RestartPolicy;
    use orch_core::task::Health;
    use orch_core::testing::decide::{World, web_spec};

    use super::*;

    #[test]
    fn a_slot_is_not_at_its_end_while_a_task_before_its_newest_runs() {
        let mut world = World::new();
        let mut spec = web_spec("job", 1);
        spec.template.restart =
            RestartPolicy { condition: RestartCondition::Never, ..RestartPolicy::default() };
        let namespace = Namespace::default_namespace();
        let service = world.execute(CreateService { namespace, spec }).expect("it is created");
        let node = Some(world.register_node("node-1", Resources::new(4_000, 8 << 30)));
        let serves = world.place(service.id, 1, node);
        world.report(serves, TaskStatus::Running(Health::Unchecked));
        world.advance(Duration::from_secs(1));
        let newest = world.place(service.id, 1, node);
        world.report(newest, TaskStatus::Stopped(None));
        assert_eq!(finished(&world.cluster, &service), BTreeSet::from([Slot(1)]));
        assert!(at_their_end(&world.cluster, &service).is_empty());

        world.report(serves, TaskStatus::Stopped(None));
        assert_eq!(at_their_end(&world.cluster, &service), BTreeSet::from([Slot(1)]));
    }
}
