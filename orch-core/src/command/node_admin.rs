//! node_admin

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Keeps new tasks away; those that run stay.
#[derive(Clone, Debug)]
pub struct CordonNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for CordonNode {
    const ACTION: Action = Action::CordonNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// Ends the node's identity for good; its tasks are replaced at once.
#[derive(Clone, Debug)]
pub struct RevokeNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for RevokeNode {
    const ACTION: Action = Action::RevokeNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// Ends the node's registration: it must register again, by its key.
#[derive(Clone, Debug)]
pub struct ResetNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for ResetNode {
    const ACTION: Action = Action::ResetNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// Removes a node that is offline or revoked, and ends its tasks in the same transaction.
#[derive(Clone, Debug)]
pub struct RemoveNode {
    /// ..
    pub node: crate::id::NodeId,
}

impl Command for RemoveNode {
    const ACTION: Action = Action::RemoveNode;
    type Output = ();
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
