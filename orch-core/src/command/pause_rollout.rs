//! Keep a rollout from replacing any further.

use std::sync::Arc;

use super::versions::write_deployment;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::{Remark, Severity};

/// Pauses the rollout, rollback or restart under way: it replaces nothing more, and its deadline rests, until a person lets it go
/// on. The reconciler does not pause: lost and failed tasks are replaced by others of the version that they had, drains and
/// scaling go on (M28). A replacement that does not serve yet is taken back. Idempotent.
#[derive(Clone, Debug)]
pub struct PauseRollout {
    /// Of which service.
    pub service: ServiceId,
    /// Why, in the words of whoever asks.
    pub because: Option<Remark>,
}

impl Command for PauseRollout {
    const ACTION: Action = Action::PauseRollout;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let (service, active) = ctx.rollout_under_way(cluster, self.service)?;
        if active.status == DeploymentStatus::Paused {
            return Ok(Decision::unchanged(Arc::clone(active)).about(active.id));
        }
        let because = self.because.as_ref();
        let paused = active.paused(ctx.now, ctx.steered("paused", because));
        let mut transaction = Transaction::default();
        let mut event = ctx.deployment_event(Severity::Warning, service, &paused);
        ctx.sign(&mut event, because);
        transaction.events.push(event);
        transaction.audit.push(ctx.steering_audit("service.rollout.pause", service, &paused, because));
        let id = paused.id;
        let paused = write_deployment(&mut transaction, paused);
        Ok(Decision::commit(transaction, paused).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::command::versions::tests::{end_active, service};
    use crate::command::{ContinueRollout, DeleteService, RollBack, RollOut};
    use crate::record::EventKind;
    use crate::testing::World;

    fn pause(service: ServiceId, because: Option<&str>) -> PauseRollout {
        PauseRollout { service, because: because.map(|text| text.parse().unwrap()) }
    }

    fn to(service: ServiceId, image: &str) -> RollOut {
        RollOut { service, image: image.parse().unwrap(), max_unavailable: None, max_surge: None }
    }

    /// A service whose second version is being rolled out.
    fn rolling() -> (World, ServiceId) {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        world.advance(Duration::from_secs(1));
        world.execute(to(id, "web:2")).unwrap();
        (world, id)
    }

    #[test]
    fn a_pause_says_who_and_why_and_holds_once() {
        let (mut world, id) = rolling();
        let paused = world.execute(pause(id, Some("errors on the canary"))).unwrap();
        assert_eq!((paused.status, paused.paused_at), (DeploymentStatus::Paused, Some(world.now)));
        assert_eq!(paused.reason.as_deref(), Some("paused by test: errors on the canary"));
        let event = world.events.last().unwrap();
        assert_eq!((event.kind, event.severity), (EventKind::RolloutStatusChanged, Severity::Warning));
        assert_eq!(event.details["by"], "test");
        assert_eq!(event.details["why"], "errors on the canary");
        let audit = world.audit.last().unwrap();
        assert_eq!(
            (audit.action.as_str(), audit.metadata["why"].as_str()),
            ("service.rollout.pause", "errors on the canary")
        );
        let revision = world.cluster.revision();
        assert_eq!(world.execute(pause(id, Some("again"))).unwrap(), paused);
        assert_eq!(world.cluster.revision(), revision, "it is paused already");
    }

    #[test]
    fn the_deadline_rests_while_it_is_paused() {
        let (mut world, id) = rolling();
        let begun = world.cluster.active_deployment(id).unwrap().clone();
        world.advance(Duration::from_secs(100));
        world.execute(pause(id, None)).unwrap();
        world.advance(Duration::from_secs(86_400));
        let went_on = world.execute(ContinueRollout { service: id, because: None }).unwrap();
        assert_eq!((went_on.status, went_on.paused_at), (DeploymentStatus::Running, None));
        assert_eq!(went_on.deadline.since(world.now), begun.policy.deadline - Duration::from_secs(100));
    }

    #[test]
    fn a_rollout_that_had_no_time_left_gets_all_of_it_again() {
        let (mut world, id) = rolling();
        world.advance(Duration::from_secs(3_600));
        world.execute(pause(id, None)).unwrap();
        let went_on = world.execute(ContinueRollout { service: id, because: None }).unwrap();
        assert_eq!(went_on.deadline.since(world.now), went_on.policy.deadline);
        assert_eq!(went_on.continued_at, Some(world.now));
    }

    #[test]
    fn a_rollback_is_paused_and_goes_on_as_one() {
        let (mut world, id) = rolling();
        world.execute(RollBack { service: id, to_version: None }).unwrap();
        world.execute(pause(id, None)).unwrap();
        let went_on = world.execute(ContinueRollout { service: id, because: None }).unwrap();
        assert_eq!(went_on.status, DeploymentStatus::RollingBack);
        let revision = world.cluster.revision();
        world.execute(ContinueRollout { service: id, because: None }).unwrap();
        assert_eq!(world.cluster.revision(), revision, "it goes on already");
    }

    #[test]
    fn only_what_is_under_way_is_steered() {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        let none = world.execute(pause(id, None)).unwrap_err();
        assert_eq!(none, Rejection::WrongState("no rollout of web is under way".to_owned()));
        assert!(matches!(
            world.execute(ContinueRollout { service: id, because: None }),
            Err(Rejection::WrongState(_))
        ));
        world.execute(DeleteService { service: id }).unwrap();
        assert_eq!(
            world.execute(pause(id, None)).unwrap_err().to_string(),
            "operation already in progress: delete"
        );
        assert_eq!(World::new().execute(pause(id, None)).unwrap_err(), Rejection::not_found("service", id));
    }
}
