//! Going back: a deployment whose target is an earlier spec. Tasks that run it already are kept (M25).

use std::sync::Arc;

use super::pass::Pass;
use super::plan::Step;
use crate::cluster::Change;
use crate::deployment::{Deployment, DeploymentStatus};
use crate::record::{EventKind, RelatedObject, Severity};
use crate::service::{Service, ServiceRevision};

/// Makes the version before a failed deployment the service's again; replica count, routes and labels stay. Nothing if there is
/// none: then the failed version is tried on, with back-off.
pub(super) fn go_back(pass: &mut Pass<'_, '_>, failed: &Deployment) {
    let Some(revision) = earlier(pass, failed) else { return };
    let now = pass.now();
    let service = Arc::new(Service {
        spec: pass.service.spec.gone_back_to(&revision.spec),
        version: revision.version,
        revision: pass.ctx.revision,
        updated_at: now,
        ..Service::clone(&pass.service)
    });
    let policy = revision.spec.rollout.clone();
    let deployment = Deployment {
        id: pass.ctx.ids.next(),
        namespace: service.namespace.clone(),
        service: service.id,
        from_version: Some(failed.to_version),
        to_version: revision.version,
        restart: false,
        status: DeploymentStatus::RollingBack,
        deadline: now + policy.deadline,
        policy,
        reason: None,
        paused_at: None,
        continued_at: None,
        created_at: now,
        updated_at: now,
        started_at: None,
        completed_at: None,
    };
    pass.plan.steps.push(Step::Deployment {
        to_version: deployment.to_version,
        status: deployment.status,
        reason: None,
    });
    let text = format!("going back from version {} to version {}", failed.to_version, revision.version);
    let related = RelatedObject::Service(service.id);
    pass.event_about(EventKind::ServiceRollbackStarted, Severity::Warning, related, text);
    pass.put(Change::Service(service));
    pass.put(deployment);
}

/// The version to go back to: the one before, if a deployment of it ever ended well; else the newest earlier one of which that
/// can be said; else the one before.
fn earlier(pass: &Pass<'_, '_>, failed: &Deployment) -> Option<Arc<ServiceRevision>> {
    let from = failed.from_version?;
    let deployments = pass.draft.deployments_of(pass.service.id);
    let proven = |version| {
        deployments.iter().any(|deployment| {
            deployment.to_version == version
                && matches!(deployment.status, DeploymentStatus::Succeeded | DeploymentStatus::RolledBack)
        })
    };
    let kept: Vec<_> = pass.draft.service_revisions(pass.service.id).collect();
    let best = kept.iter().rev().find(|revision| revision.version <= from && proven(revision.version));
    let before = kept.iter().find(|revision| revision.version == from);
    best.or(before)
        .filter(|revision| revision.version != failed.to_version)
        .map(|revision| Arc::clone(revision))
}
