//! Go back to an earlier version.

use std::sync::Arc;

use super::lookup::in_progress;
use super::versions::{deployment, end_deployment, write, write_deployment};
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus, OnFailure, RolloutPolicy};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::EventKind;
use crate::service::{Service, ServiceRevision, Version};

/// Goes back to the newest earlier version that succeeded (or version 1), or to `to_version`. Supersedes a rollout that is
/// under way; repeating the rollback in flight answers it.
///
/// What makes a version goes back: template, constraints, rollout policy. Replica count, routes and labels belong to the
/// service and stay.
#[derive(Clone, Debug)]
pub struct RollBack {
    /// Which service.
    pub service: ServiceId,
    /// The version to go back to, if a certain one is meant.
    pub to_version: Option<Version>,
}

impl Command for RollBack {
    const ACTION: Action = Action::RollBack;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.active_service(cluster, self.service)?;
        if let Some(active) = cluster.active_deployment(before.id).filter(|active| active.is_rollback()) {
            return if self.to_version.is_none_or(|version| version == active.to_version) {
                Ok(Decision::unchanged(Arc::clone(active)).about(active.id))
            } else {
                Err(in_progress("rollback"))
            };
        }
        let target = self.target(cluster, before)?;
        let mut transaction = Transaction::default();
        let end = (DeploymentStatus::Superseded, "rolled back on request");
        let rollback = begin_rollback(cluster, ctx, &mut transaction, before, target, end);
        let mut audit = ctx.service_audit("service.rollback", before);
        audit.metadata.insert("to_version".to_owned(), rollback.to_version.to_string());
        transaction.audit.push(audit);
        let id = rollback.id;
        Ok(Decision::commit(transaction, rollback).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}

impl RollBack {
    fn target<'c>(&self, cluster: &'c Cluster, service: &Service) -> Result<&'c ServiceRevision, Rejection> {
        let earlier = |version: &Version| *version < service.version;
        let kept = |version| cluster.service_revision(service.id, version).map(|row| &**row);
        if let Some(version) = self.to_version {
            return Some(version).filter(earlier).and_then(kept).ok_or_else(|| {
                let kept: Vec<_> = cluster
                    .service_revisions(service.id)
                    .map(|row| row.version)
                    .filter(earlier)
                    .map(|version| version.to_string())
                    .collect();
                let there = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                Rejection::WrongState(format!(
                    "version {version} is not an earlier version that is kept; there is: {there}"
                ))
            });
        }
        let succeeded = cluster
            .deployments_of(service.id)
            .into_iter()
            .filter(|d| matches!(d.status, DeploymentStatus::Succeeded | DeploymentStatus::RolledBack))
            .map(|d| d.to_version)
            .filter(earlier)
            .filter_map(kept)
            .max_by_key(|row| row.version);
        succeeded.or_else(|| Some(Version(1)).filter(earlier).and_then(kept)).ok_or_else(|| {
            Rejection::WrongState(format!("{} has no earlier version to go back to", service.spec.name))
        })
    }
}

/// Writes that a service goes back to an earlier version. The deployment under way, if any, ends as `end` says.
pub(super) fn begin_rollback(
    cluster: &Cluster,
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    before: &Service,
    target: &ServiceRevision,
    (status, reason): (DeploymentStatus, &str),
) -> Arc<Deployment> {
    end_deployment(cluster, ctx, transaction, before, status, reason);
    let service = Service {
        spec: before.spec.gone_back_to(&target.spec),
        version: target.version,
        revision: ctx.revision,
        updated_at: ctx.now,
        ..before.clone()
    };
    let policy = RolloutPolicy {
        max_unavailable: 1,
        max_surge: 0,
        on_failure: OnFailure::Pause,
        ..target.spec.rollout.clone()
    };
    let rollback = deployment(ctx, &service, Some(before.version), DeploymentStatus::RollingBack, policy);
    let (name, from, to) = (&service.spec.name, before.version, target.version);
    let message = format!("rollback of {name} from version {from} to {to} began");
    let mut event = ctx.service_event(EventKind::ServiceRollbackStarted, &service, message);
    event.details.insert("rollout_id".to_owned(), rollback.id.to_string());
    transaction.events.push(event);
    write(transaction, service);
    write_deployment(transaction, rollback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::{end_active, service};
    use crate::command::{RollOut, ScaleService};
    use crate::testing::World;

    fn back(service: ServiceId, to_version: Option<u32>) -> RollBack {
        RollBack { service, to_version: to_version.map(Version) }
    }

    fn roll_out(world: &mut World, service: ServiceId, image: &str) {
        let image = image.parse().unwrap();
        world.execute(RollOut { service, image, max_unavailable: None, max_surge: None }).unwrap();
    }

    /// Versions 1 and 2 succeeded, 3 failed.
    fn three_versions() -> (World, ServiceId) {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        for (image, status) in [("web:2", DeploymentStatus::Succeeded), ("web:3", DeploymentStatus::Failed)] {
            world.advance(std::time::Duration::from_secs(1));
            roll_out(&mut world, id, image);
            end_active(&mut world, id, status);
        }
        (world, id)
    }

    #[test]
    fn it_goes_back_to_the_newest_earlier_version_that_succeeded() {
        let (mut world, id) = three_versions();
        world.execute(ScaleService { service: id, replicas: 7, expected: None }).unwrap();
        let rollback = world.execute(back(id, None)).unwrap();
        assert_eq!((rollback.from_version, rollback.to_version), (Some(Version(3)), Version(2)));
        assert_eq!(rollback.status, DeploymentStatus::RollingBack);
        assert_eq!((rollback.policy.max_unavailable, rollback.policy.max_surge), (1, 0));
        assert!(rollback.is_rollback());
        let service = world.cluster.service(id).unwrap();
        assert_eq!((service.version, service.newest_version), (Version(2), Version(3)));
        assert_eq!((service.spec.template.image.as_str(), service.spec.replicas), ("web:2", 7));
        assert_eq!(world.count(EventKind::ServiceRollbackStarted), 1);

        end_active(&mut world, id, DeploymentStatus::RolledBack);
        assert_eq!(world.execute(back(id, None)).unwrap().to_version, Version(1));
        end_active(&mut world, id, DeploymentStatus::RolledBack);
        assert!(matches!(world.execute(back(id, None)), Err(Rejection::WrongState(_))));
        roll_out(&mut world, id, "web:4");
        assert_eq!(world.cluster.service(id).unwrap().version, Version(4), "numbers are never used again");
    }

    #[test]
    fn a_rollback_supersedes_the_rollout_in_flight_and_repeating_it_answers_it() {
        let (mut world, id) = service();
        end_active(&mut world, id, DeploymentStatus::Succeeded);
        roll_out(&mut world, id, "web:2");
        let rollout = world.cluster.active_deployment(id).unwrap().id;
        let rollback = world.execute(back(id, None)).unwrap();
        assert_eq!(world.cluster.deployment(rollout).unwrap().status, DeploymentStatus::Superseded);
        let revision = world.cluster.revision();
        assert_eq!(world.execute(back(id, None)).unwrap(), rollback);
        assert_eq!(world.execute(back(id, Some(1))).unwrap(), rollback);
        assert_eq!(world.cluster.revision(), revision);
        let image = "web:3".parse().unwrap();
        let forward = RollOut { service: id, image, max_unavailable: None, max_surge: None };
        assert_eq!(
            world.execute(forward).unwrap_err().to_string(),
            "operation already in progress: rollback"
        );
    }

    #[test]
    fn a_certain_version_can_be_asked_for_if_it_is_earlier_and_kept() {
        let (mut world, id) = three_versions();
        for bad in [0, 3, 4] {
            let Err(Rejection::WrongState(text)) = world.execute(back(id, Some(bad))) else {
                panic!("{bad}")
            };
            assert!(text.ends_with("there is: 1, 2"), "{text}");
        }
        assert_eq!(world.execute(back(id, Some(1))).unwrap().to_version, Version(1));
        let other = world.execute(back(id, Some(2)));
        assert_eq!(other.unwrap_err().to_string(), "operation already in progress: rollback");
    }

    #[test]
    fn a_service_on_its_first_version_cannot_go_back() {
        let (mut world, id) = service();
        assert!(matches!(world.execute(back(id, None)), Err(Rejection::WrongState(_))));
    }
}
