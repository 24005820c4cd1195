//! Replace every task of a service by another of the same version.

use std::sync::Arc;

use super::lookup::in_progress;
use super::versions::{deployment, write_deployment};
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::{EventKind, Remark};

/// Replaces every task that is there now by another of the same version, as a rollout would: at the pace and under the budget of
/// the spec. It can be paused, continued and broken off like one; one that fails stops where it is, for there is nothing to go
/// back to. Repeating the restart in flight answers it.
#[derive(Clone, Debug)]
pub struct RestartService {
    /// Which service.
    pub service: ServiceId,
    /// Why, in the words of whoever asks.
    pub because: Option<Remark>,
}

impl Command for RestartService {
    const ACTION: Action = Action::RestartService;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let service = ctx.active_service(cluster, self.service)?;
        if let Some(active) = cluster.active_deployment(service.id) {
            return match active {
                restart if restart.restart => Ok(Decision::unchanged(Arc::clone(restart)).about(restart.id)),
                rollback if rollback.is_rollback() => Err(in_progress("rollback")),
                _ => Err(in_progress("rollout")),
            };
        }
        let policy = service.spec.rollout.clone();
        let (from, status) = (Some(service.version), DeploymentStatus::Pending);
        let restart = Deployment { restart: true, ..deployment(ctx, service, from, status, policy) };
        let because = self.because.as_ref();
        let said = ctx.steered("restarted", because);
        let message = format!("restart of {} began: {said}", service.spec.name);
        let mut event = ctx.service_event(EventKind::ServiceRestartStarted, service, message);
        event.details.insert("rollout_id".to_owned(), restart.id.to_string());
        ctx.sign(&mut event, because);
        let mut transaction = Transaction::default();
        transaction.events.push(event);
        transaction.audit.push(ctx.steering_audit("service.restart", service, &restart, because));
        let id = restart.id;
        let restart = write_deployment(&mut transaction, restart);
        Ok(Decision::commit(transaction, restart).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::{end_active, service};
    use crate::command::{AbortRollout, RollOut};
    use crate::service::Version;

    fn restart(service: ServiceId) -> RestartService {
        RestartService { service, because: Some("stale cache".parse().unwrap()) }
    }

    #[test]
    fn a_restart_keeps_the_version_says_who_asked_and_is_one_at_a_time() {
        let (mut world, id) = service();
        assert_eq!(
            world.execute(restart(id)).unwrap_err().to_string(),
            "operation already in progress: rollout"
        );
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        let begun = world.execute(restart(id)).unwrap();
        assert!(begun.restart && !begun.is_rollback());
        assert_eq!((begun.from_version, begun.to_version), (Some(Version(1)), Version(1)));
        assert_eq!(begun.policy, world.cluster.service(id).unwrap().spec.rollout);
        let event = world.events.last().unwrap();
        assert_eq!(event.message, "restart of web began: restarted by test: stale cache");
        assert_eq!(world.audit.last().unwrap().action, "service.restart");
        let revision = world.cluster.revision();
        assert_eq!(world.execute(restart(id)).unwrap(), begun);
        assert_eq!(world.cluster.revision(), revision);
        let image = "web:1".parse().unwrap();
        let rollout = RollOut { service: id, image, max_unavailable: Some(0), max_surge: Some(1) };
        assert_eq!(world.execute(rollout).unwrap_err().to_string(), "operation already in progress: restart");
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        assert_ne!(world.execute(restart(id)).unwrap().id, begun.id, "once more is once more");
    }

    #[test]
    fn a_restart_that_is_broken_off_goes_back_nowhere() {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        let begun = world.execute(restart(id)).unwrap();
        let ended = world.execute(AbortRollout { service: id, because: None }).unwrap();
        assert_eq!((ended.id, ended.status), (begun.id, DeploymentStatus::Cancelled));
        assert_eq!(ended.reason.as_deref(), Some("aborted by test"));
        assert!(world.cluster.active_deployment(id).is_none());
        assert_eq!(world.cluster.service(id).unwrap().version, Version(1));
    }
}
