//! scale_service

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Changes the replica count.
#[derive(Clone, Debug)]
pub struct ScaleService {
    /// ..
    pub service: crate::id::ServiceId,
    /// ..
    pub replicas: u32,
    /// ..
    pub expected: Option<crate::cluster::Revision>,
}

impl Command for ScaleService {
    const ACTION: Action = Action::ScaleService;
    type Output = Arc<crate::service::Service>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
