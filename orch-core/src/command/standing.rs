//! Whether a node that was let in a moment ago still stands, on the state that the decision is made on.

use std::sync::Arc;

use super::Ctx;
use super::rejection::{Rejection, Unauthorized};
use crate::cluster::Cluster;
use crate::identity::{NodeCredential, NodePrincipal, Principal};
use crate::node::{Node, NodeStatus};

/// A node that stands, with its credential row.
pub(super) struct Standing<'c> {
    pub(super) principal: NodePrincipal,
    pub(super) node: &'c Arc<Node>,
    pub(super) credential: &'c Arc<NodeCredential>,
    /// The credential that was shown is `next`: its use makes it current.
    pub(super) promotes: bool,
}

impl Ctx<'_> {
    /// The node that asks. Its credential was judged when the request came in; a revocation, a reset or another registration
    /// that was decided meanwhile ends the request here, a mere rotation does not.
    pub(super) fn standing<'c>(&self, cluster: &'c Cluster) -> Result<Standing<'c>, Rejection> {
        let Principal::Node(principal) = *self.principal else {
            return Err(Rejection::Forbidden("only a node can ask for this".to_owned()));
        };
        let refuse = |reason| Err(Rejection::Unauthorized(reason));
        let Some(node) = cluster.node(principal.node) else { return refuse(Unauthorized::Unknown) };
        if node.status == NodeStatus::Revoked {
            return refuse(Unauthorized::NodeRevoked);
        }
        let credential = match cluster.credential(node.id) {
            Some(row)
                if node.incarnation == principal.incarnation && row.incarnation == principal.incarnation =>
            {
                row
            }
            _ => return refuse(Unauthorized::NodeReset),
        };
        let shown = [Some(credential.current), credential.next, credential.superseded.map(|(old, _)| old)]
            .into_iter()
            .flatten()
            .find(|issued| issued.generation == principal.generation);
        match shown {
            Some(issued) if self.now < issued.expires_at => {}
            Some(_) => return refuse(Unauthorized::CredentialExpired),
            None if principal.generation < credential.newest_generation() => {
                return refuse(Unauthorized::CredentialSuperseded);
            }
            None => return refuse(Unauthorized::Unknown),
        }
        let promotes = credential.next.is_some_and(|next| next.generation == principal.generation);
        Ok(Standing { principal, node, credential, promotes })
    }
}

impl Standing<'_> {
    /// The credential row once the credential that was shown has been used.
    pub(super) fn used(&self, ctx: &Ctx<'_>) -> NodeCredential {
        let row = NodeCredential::clone(self.credential);
        if !self.promotes {
            return row;
        }
        let row = row.promoted(ctx.now);
        let highest_sequence = row.highest_sequence.max(self.principal.sequence.unwrap_or(0));
        NodeCredential { highest_sequence, ..row }
    }
}
