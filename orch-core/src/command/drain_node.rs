//! drain_node

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Takes a node out of service: it gets no new tasks, and loses each task once that task's replacement serves.
#[derive(Clone, Debug)]
pub struct DrainNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for DrainNode {
    const ACTION: Action = Action::DrainNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// Ends a drain and a cordon.
#[derive(Clone, Debug)]
pub struct UncordonNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for UncordonNode {
    const ACTION: Action = Action::UncordonNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
