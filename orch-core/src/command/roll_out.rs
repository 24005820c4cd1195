//! roll_out

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Rolls out another image. Repeating the rollout in flight answers it.
#[derive(Clone, Debug)]
pub struct RollOut {
    /// ..
    pub service: crate::id::ServiceId,
    /// ..
    pub image: crate::service::ImageRef,
    /// ..
    pub max_unavailable: Option<u32>,
    /// ..
    pub max_surge: Option<u32>,
}

impl Command for RollOut {
    const ACTION: Action = Action::RollOut;
    type Output = Arc<crate::deployment::Deployment>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
