//! prune

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Removes what is past its time: receipts, deleted services, old revisions, ended deployments; at most limit rows.
#[derive(Clone, Debug)]
pub struct PruneState {
    /// ..
    pub limit: usize,
}

impl Command for PruneState {
    const ACTION: Action = Action::Control;
    type Output = usize;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
