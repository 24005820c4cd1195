//! node_liveness

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// No heartbeat for the timeout: the node is offline.
#[derive(Clone, Debug)]
pub struct NodeFellSilent {
    /// ..
    pub node: crate::id::NodeId,
    /// ..
    pub incarnation: crate::node::Incarnation,
}

impl Command for NodeFellSilent {
    const ACTION: Action = Action::Control;
    type Output = ();
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
