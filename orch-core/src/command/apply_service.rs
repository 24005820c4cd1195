//! apply_service

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Creates or changes a service by name: a changed template is a rolling update; a changed replica count a scaling; no difference, no change.
#[derive(Clone, Debug)]
pub struct ApplyService {
    /// ..
    pub namespace: crate::name::Namespace,
    /// ..
    pub target: ApplyTarget,
    /// ..
    pub spec: crate::service::ServiceSpec,
    /// ..
    pub expected: Option<crate::cluster::Revision>,
    /// ..
    pub dry_run: bool,
}

impl Command for ApplyService {
    const ACTION: Action = Action::UpdateService;
    type Output = Applied;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// What an apply is aimed at.
#[derive(Clone, Debug)]
pub enum ApplyTarget {
    /// The service with the spec's name; created if there is none.
    Name,
    /// This service, which must exist and have the spec's name.
    Id(crate::id::ServiceId),
}

/// What an apply did, or would do.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The service as it is now, or would be.
    pub service: Arc<crate::service::Service>,
    /// The deployment that was begun, if the template changed.
    pub deployment: Option<Arc<crate::deployment::Deployment>>,
    /// Whether the service is new.
    pub created: bool,
    /// Which fields of the spec differ, one line each: `template.image: "web:1" → "web:2"`.
    pub changes: Vec<String>,
}
