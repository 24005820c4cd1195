//! Take a service down.

use std::sync::Arc;

use super::endings::removing;
use super::versions::{end_deployment, write};
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::DeploymentStatus;
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::EventKind;
use crate::service::{Service, ServiceStatus};
use crate::task::{DesiredStatus, StopCause, TaskStatus};

/// Takes a service down: cancels its deployment and has its tasks removed. It is deleted once none is left. Idempotent.
#[derive(Clone, Debug)]
pub struct DeleteService {
    /// Which service.
    pub service: ServiceId,
}

impl Command for DeleteService {
    const ACTION: Action = Action::DeleteService;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let before = ctx.service(cluster, self.service)?;
        if before.status != ServiceStatus::Active {
            return Ok(Decision::unchanged(()).about(before.id));
        }
        let mut transaction = Transaction::default();
        let name = &before.spec.name;
        let reason = "the service was deleted";
        end_deployment(cluster, ctx, &mut transaction, before, DeploymentStatus::Cancelled, reason);
        let message = format!("service {name} is being deleted");
        transaction.events.push(ctx.service_event(EventKind::ServiceDeletionStarted, before, message));
        transaction.audit.push(ctx.service_audit("service.delete", before));

        let mut is_gone = true;
        for task in cluster.tasks_of_service(before.id) {
            if task.status == TaskStatus::Removed {
                continue;
            }
            is_gone &= task.node.is_none();
            if task.desired != DesiredStatus::Removed || task.node.is_none() {
                transaction.put(removing(ctx, task, StopCause::Deleted));
            }
        }
        let status = if is_gone { ServiceStatus::Deleted } else { ServiceStatus::Deleting };
        if is_gone {
            let message = format!("service {name} is deleted");
            transaction.events.push(ctx.service_event(EventKind::ServiceDeleted, before, message));
        }
        let service =
            Service { status, revision: ctx.revision, updated_at: ctx.now, ..Service::clone(before) };
        let service: Arc<Service> = write(&mut transaction, service);
        Ok(Decision::commit(transaction, ()).about(service.id))
    }

    fn replay(&self, _: &Cluster, _: &str) -> Option<()> {
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::service;
    use crate::node::Resources;
    use crate::testing::World;

    fn delete(service: ServiceId) -> DeleteService {
        DeleteService { service }
    }

    #[test]
    fn a_service_without_tasks_is_gone_at_once() {
        let (mut world, id) = service();
        let first = world.cluster.active_deployment(id).unwrap().id;
        world.execute(delete(id)).unwrap();
        assert_eq!(world.cluster.service(id).unwrap().status, ServiceStatus::Deleted);
        let ended = world.cluster.deployment(first).unwrap();
        assert_eq!((ended.status, ended.completed_at), (DeploymentStatus::Cancelled, Some(world.now)));
        assert_eq!(
            (world.count(EventKind::ServiceDeletionStarted), world.count(EventKind::ServiceDeleted)),
            (1, 1)
        );
        assert_eq!(
            world
                .cluster
                .service_named(&world.cluster.service(id).unwrap().namespace, &"web".parse().unwrap()),
            None
        );
    }

    #[test]
    fn deleting_twice_is_the_same_as_once() {
        let (mut world, id) = service();
        world.execute(delete(id)).unwrap();
        let revision = world.cluster.revision();
        world.execute(delete(id)).unwrap();
        assert_eq!(world.cluster.revision(), revision);
        let nowhere = World::new().execute(delete(id));
        assert_eq!(nowhere.unwrap_err(), Rejection::not_found("service", id));
    }

    #[test]
    fn tasks_on_nodes_are_to_be_removed_and_pending_ones_are_gone() {
        let (mut world, id) = service();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        let placed = world.place(id, 1, Some(node));
        let pending = world.place(id, 2, None);
        world.execute(delete(id)).unwrap();
        assert_eq!(world.cluster.service(id).unwrap().status, ServiceStatus::Deleting);
        assert_eq!(world.count(EventKind::ServiceDeleted), 0);
        let task = world.cluster.task(placed).unwrap();
        assert_eq!((task.desired, &task.status), (DesiredStatus::Removed, &TaskStatus::Assigned));
        let task = world.cluster.task(pending).unwrap();
        assert_eq!((task.desired, &task.status), (DesiredStatus::Removed, &TaskStatus::Removed));
        assert_eq!((task.finished_at, task.stop_cause), (Some(world.now), Some(StopCause::Deleted)));
    }
}
