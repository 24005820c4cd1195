//! register_node

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Registers a node.
#[derive(Clone, Debug)]
pub struct RegisterNode {
    /// ..
    pub claim: crate::identity::RegistrationClaim,
    /// ..
    pub proven: crate::identity::Proven,
    /// ..
    pub credential: crate::identity::Issued,
    /// ..
    pub credential_for: (crate::id::NodeId, crate::node::Incarnation),
    /// ..
    pub binding: crate::identity::CredentialBinding,
    /// ..
    pub active_boot: bool,
}

impl Command for RegisterNode {
    const ACTION: Action = Action::RegisterNode;
    type Output = RegisteredNode;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// What a registration made.
#[derive(Clone, Debug)]
pub struct RegisteredNode {
    /// The node.
    pub node: Arc<crate::node::Node>,
}
