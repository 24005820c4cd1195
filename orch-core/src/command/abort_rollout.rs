//! Break a rollout off and go back.

use std::sync::Arc;

use super::lookup::in_progress;
use super::roll_back::begin_rollback;
use super::versions::end_deployment;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::Remark;
use crate::service::Service;

/// Breaks off the rollout under way, paused or not, and goes back to the version that it came from. Answers the rollback.
/// Repeating it answers the same rollback. A restart ends where it is: there is nothing to go back to.
#[derive(Clone, Debug)]
pub struct AbortRollout {
    /// Of which service.
    pub service: ServiceId,
    /// Why, in the words of whoever asks.
    pub because: Option<Remark>,
}

impl Command for AbortRollout {
    const ACTION: Action = Action::AbortRollout;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let (service, active) = ctx.rollout_under_way(cluster, self.service)?;
        if active.is_rollback() {
            return match active.status {
                // To break off a rollback that waits for a person would say neither where to go nor whether to go on.
                DeploymentStatus::Paused => Err(in_progress("rollback")),
                _ => Ok(Decision::unchanged(Arc::clone(active)).about(active.id)),
            };
        }
        if active.restart {
            return Ok(break_off_restart(cluster, ctx, service, self.because.as_ref()));
        }
        let target = active.from_version.and_then(|from| cluster.service_revision(service.id, from));
        let Some(target) = target else {
            return Err(Rejection::WrongState(format!(
                "{} has no earlier version to go back to; delete it, or deploy what it should be",
                service.spec.name
            )));
        };
        let because = self.because.as_ref();
        let said = ctx.steered("aborted", because);
        let mut transaction = Transaction::default();
        let end = (DeploymentStatus::Cancelled, said.as_str());
        let rollback = begin_rollback(cluster, ctx, &mut transaction, service, target, end);
        let ended = active.id.to_string();
        for event in &mut transaction.events {
            if event.details.get("rollout_id") == Some(&ended) {
                ctx.sign(event, because);
            }
        }
        transaction.audit.push(ctx.steering_audit("service.rollout.abort", service, active, because));
        let id = rollback.id;
        Ok(Decision::commit(transaction, rollback).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}

/// Ends a restart: what was not replaced yet stays, for it is of the same version.
fn break_off_restart(
    cluster: &Cluster,
    ctx: &mut Ctx<'_>,
    service: &Service,
    because: Option<&Remark>,
) -> Decision<Arc<Deployment>> {
    let mut transaction = Transaction::default();
    let said = ctx.steered("aborted", because);
    let ended = end_deployment(cluster, ctx, &mut transaction, service, DeploymentStatus::Cancelled, &said);
    let ended = ended.expect("the caller found it under way");
    transaction.events.iter_mut().for_each(|event| ctx.sign(event, because));
    transaction.audit.push(ctx.steering_audit("service.rollout.abort", service, &ended, because));
    let id = ended.id;
    Decision::commit(transaction, ended).about(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::{end_active, service};
    use crate::command::{PauseRollout, RollOut};
    use crate::record::EventKind;
    use crate::service::Version;

    fn abort(service: ServiceId) -> AbortRollout {
        AbortRollout { service, because: Some("wrong image".parse().unwrap()) }
    }

    #[test]
    fn it_goes_back_to_where_the_rollout_came_from_paused_or_not() {
        for pause in [false, true] {
            let (mut world, id) = service();
            end_active(&mut world, id, DeploymentStatus::Succeeded);
            let image = "web:2".parse().unwrap();
            let command = RollOut { service: id, image, max_unavailable: None, max_surge: None };
            let rollout = world.execute(command).unwrap();
            if pause {
                world.execute(PauseRollout { service: id, because: None }).unwrap();
            }
            let rollback = world.execute(abort(id)).unwrap();
            assert_eq!((rollback.from_version, rollback.to_version), (Some(Version(2)), Version(1)));
            assert_eq!(rollback.status, DeploymentStatus::RollingBack);
            let ended = world.cluster.deployment(rollout.id).unwrap();
            assert_eq!(ended.status, DeploymentStatus::Cancelled);
            assert_eq!(ended.reason.as_deref(), Some("aborted by test: wrong image"));
            assert!(ended.completed_at.is_some() && ended.paused_at.is_none());
            assert_eq!(world.cluster.service(id).unwrap().version, Version(1));
            assert_eq!(world.count(EventKind::ServiceRollbackStarted), 1);
            let told = |event: &&crate::record::Event| {
                event.details.get("why").is_some_and(|why| why == "wrong image")
            };
            assert_eq!(world.events.iter().filter(told).count(), 1);
            let actions: Vec<_> = world.audit.iter().map(|record| record.action.as_str()).collect();
            assert!(actions.ends_with(&["service.rollout.abort"]), "{actions:?}");

            let revision = world.cluster.revision();
            assert_eq!(world.execute(abort(id)).unwrap(), rollback, "again is the same");
            assert_eq!(world.cluster.revision(), revision);
        }
    }

    #[test]
    fn a_first_rollout_has_nothing_to_go_back_to() {
        let (mut world, id) = service();
        assert!(matches!(world.execute(abort(id)), Err(Rejection::WrongState(_))));
        assert!(world.cluster.active_deployment(id).is_some());
    }
}
