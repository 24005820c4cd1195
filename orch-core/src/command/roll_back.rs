//! roll_back

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Goes back to the newest earlier version that succeeded (or version 1), or to to_version.
#[derive(Clone, Debug)]
pub struct RollBack {
    /// ..
    pub service: crate::id::ServiceId,
    /// ..
    pub to_version: Option<crate::service::Version>,
}

impl Command for RollBack {
    const ACTION: Action = Action::RollBack;
    type Output = Arc<crate::deployment::Deployment>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
