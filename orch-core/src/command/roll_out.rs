//! Roll out another image.

use std::sync::Arc;

use super::lookup::in_progress;
use super::versions::begin_version;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus, RolloutPolicy};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::EventKind;
use crate::service::admission::admit;
use crate::service::{ImageRef, ServiceSpec};

/// Rolls out another image, everything else being as it is. Repeating the rollout in flight answers it.
#[derive(Clone, Debug)]
pub struct RollOut {
    /// Which service.
    pub service: ServiceId,
    /// What its tasks run from now on.
    pub image: ImageRef,
    /// How many replicas may be missing meanwhile. 0 is the same as nothing; where neither limit is given, both are 1.
    pub max_unavailable: Option<u32>,
    /// How many tasks there may be above the replica count meanwhile. As above.
    pub max_surge: Option<u32>,
}

impl Command for RollOut {
    const ACTION: Action = Action::RollOut;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.active_service(cluster, self.service)?;
        let policy = self.policy(&before.spec.rollout);
        if let Some(active) = cluster.active_deployment(before.id) {
            let same_image = before.spec.template.image == self.image && active.to_version == before.version;
            if same_image && active.policy == policy && !active.is_rollback() && !active.restart {
                return Ok(Decision::unchanged(Arc::clone(active)).about(active.id));
            }
            check_may_supersede(active)?;
        }
        let mut spec = ServiceSpec::clone(&before.spec);
        spec.template.image = self.image;
        admit(&spec, ctx.policy, "rollout", &before.namespace)?;

        let mut transaction = Transaction::default();
        let image = spec.template.image.clone();
        let (service, deployment) = begin_version(cluster, ctx, &mut transaction, before, spec, policy);
        let message = format!(
            "rollout of {} to version {} began, with image {image}",
            service.spec.name, service.version
        );
        let mut event = ctx.service_event(EventKind::ServiceRolloutStarted, &service, message);
        event.details.insert("rollout_id".to_owned(), deployment.id.to_string());
        transaction.events.push(event);
        let mut audit = ctx.service_audit("service.rollout", &service);
        audit.metadata.insert("image".to_owned(), image.to_string());
        transaction.audit.push(audit);
        let id = deployment.id;
        Ok(Decision::commit(transaction, deployment).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}

impl RollOut {
    fn policy(&self, of_service: &RolloutPolicy) -> RolloutPolicy {
        let (max_unavailable, max_surge) =
            match (self.max_unavailable.unwrap_or(0), self.max_surge.unwrap_or(0)) {
                (0, 0) => (1, 1),
                limits => limits,
            };
        RolloutPolicy { max_unavailable, max_surge, ..of_service.clone() }
    }
}

/// A rollout waits for the one under way, unless that is a service's first (there is nothing to protect yet) or is paused
/// (it waits for a person, who has now spoken).
fn check_may_supersede(active: &Deployment) -> Result<(), Rejection> {
    match active.status {
        DeploymentStatus::Paused => Ok(()),
        _ if active.from_version.is_none() => Ok(()),
        _ if active.restart => Err(in_progress("restart")),
        _ if active.is_rollback() => Err(in_progress("rollback")),
        _ => Err(in_progress("rollout")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::{end_active, service};
    use crate::service::Version;
    use crate::testing::World;

    fn to(service: ServiceId, image: &str) -> RollOut {
        RollOut { service, image: image.parse().unwrap(), max_unavailable: None, max_surge: None }
    }

    #[test]
    fn a_rollout_makes_a_version_and_takes_the_limits_of_the_request() {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        let deployment = world.execute(to(id, "web:2")).unwrap();
        assert_eq!((deployment.from_version, deployment.to_version), (Some(Version(1)), Version(2)));
        assert_eq!((deployment.policy.max_unavailable, deployment.policy.max_surge), (1, 1));
        let service = world.cluster.service(id).unwrap();
        assert_eq!((service.version, service.spec.template.image.as_str()), (Version(2), "web:2"));
        assert_eq!(service.spec.rollout, RolloutPolicy::default(), "the limits were for this once");
        assert_eq!(world.count(EventKind::ServiceRolloutStarted), 1);
        assert_eq!(world.audit.last().unwrap().action, "service.rollout");
    }

    #[test]
    fn limits_that_are_given_count_as_given() {
        let (mut world, id) = service();
        let limits = |max_unavailable, max_surge| {
            let policy =
                RollOut { max_unavailable, max_surge, ..to(id, "web:2") }.policy(&RolloutPolicy::default());
            (policy.max_unavailable, policy.max_surge)
        };
        assert_eq!(limits(None, None), (1, 1));
        assert_eq!(limits(Some(0), Some(0)), (1, 1));
        assert_eq!(limits(Some(2), None), (2, 0));
        assert_eq!(limits(None, Some(3)), (0, 3));
        world.execute(to(id, "web:2")).unwrap();
    }

    #[test]
    fn repeating_the_rollout_in_flight_answers_it_and_another_one_waits() {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        let first = world.execute(to(id, "web:2")).unwrap();
        let revision = world.cluster.revision();
        assert_eq!(world.execute(to(id, "web:2")).unwrap(), first);
        assert_eq!(world.cluster.revision(), revision);
        for other in [to(id, "web:3"), RollOut { max_surge: Some(2), ..to(id, "web:2") }] {
            assert_eq!(
                world.execute(other).unwrap_err().to_string(),
                "operation already in progress: rollout"
            );
        }
    }

    #[test]
    fn the_first_deployment_and_a_paused_one_are_superseded() {
        let (mut world, id) = service();
        let first = world.cluster.active_deployment(id).unwrap().id;
        let second = world.execute(to(id, "web:2")).unwrap();
        assert_eq!(world.cluster.deployment(first).unwrap().status, DeploymentStatus::Superseded);
        end_active(&mut world, id, DeploymentStatus::Paused);
        let third = world.execute(to(id, "web:3")).unwrap();
        assert_eq!(world.cluster.deployment(second.id).unwrap().status, DeploymentStatus::Superseded);
        assert_eq!(third.to_version, Version(3));
    }

    #[test]
    fn nothing_is_rolled_out_of_a_service_that_is_deleted() {
        let (mut world, id) = service();
        world.execute(crate::command::DeleteService { service: id }).unwrap();
        assert_eq!(
            world.execute(to(id, "web:2")).unwrap_err().to_string(),
            "operation already in progress: delete"
        );
        let nowhere = World::new().execute(to(id, "web:2"));
        assert_eq!(nowhere.unwrap_err(), Rejection::not_found("service", id));
    }
}
