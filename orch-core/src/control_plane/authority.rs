//! Whether a node that was let in may still act: asked on the image that a decision is made on, and again after every wait.

use crate::cluster::Cluster;
use crate::command::rejection::Unauthorized;
use crate::identity::NodePrincipal;
use crate::node::NodeStatus;

/// Whether the node is still there, not revoked, and in the same registration. Rotation of its credential does not matter:
/// a request that was admitted runs on.
pub(super) fn stands(cluster: &Cluster, principal: &NodePrincipal) -> Result<(), Unauthorized> {
    let node = cluster.node(principal.node).ok_or(Unauthorized::Unknown)?;
    if node.status == NodeStatus::Revoked {
        return Err(Unauthorized::NodeRevoked);
    }
    let credential = cluster.credential(principal.node).ok_or(Unauthorized::NodeReset)?;
    if node.incarnation != principal.incarnation || credential.incarnation != principal.incarnation {
        return Err(Unauthorized::NodeReset);
    }
    Ok(())
}
