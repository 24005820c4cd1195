//! Let a node come with another key.

use std::sync::Arc;
use std::time::Duration;

use super::versions::write_node;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::NodeId;
use crate::identity::{Action, KeyFingerprint};
use crate::node::{ApprovedKey, Node, NodeStatus};
use crate::record::{EventKind, Severity};

/// How long an approval holds unless it is said: an hour.
pub const DEFAULT_APPROVAL: Duration = Duration::from_secs(3_600);
/// The longest that one may hold: a day.
pub const LONGEST_APPROVAL: Duration = Duration::from_secs(24 * 3_600);

/// Approves another key for a node whose own was lost, or that never had one: the next registration under its name may be
/// with exactly that key, needs no token, and binds the node to it from then on. Until it comes the old key stays good, and
/// where it does not come in time nothing changes. A later approval takes the place of an earlier one.
///
/// Someone who is active as the node is not thrown out by this: reset or stop it first.
#[derive(Clone, Debug)]
pub struct ApproveNodeKey {
    /// Which node.
    pub node: NodeId,
    /// Of the key, as its agent says it.
    pub fingerprint: KeyFingerprint,
    /// How long the approval holds.
    pub within: Duration,
}

impl Command for ApproveNodeKey {
    const ACTION: Action = Action::ApproveNodeKey;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        if before.status == NodeStatus::Revoked {
            return Err(Rejection::WrongState(format!("node {} is revoked", before.name)));
        }
        if self.within.is_zero() || self.within > LONGEST_APPROVAL {
            let expected = format!("1 to {} seconds", LONGEST_APPROVAL.as_secs());
            return Err(Rejection::invalid(FieldPath::new("within_seconds"), "it is out of range", expected));
        }
        if before.key.as_ref().map(KeyFingerprint::of) == Some(self.fingerprint) {
            return Err(Rejection::WrongState(format!("node {} has this key", before.name)));
        }
        let approved =
            ApprovedKey { fingerprint: self.fingerprint, by: ctx.who(), until: ctx.now + self.within };
        let node = Node {
            approved_key: Some(approved),
            revision: ctx.revision,
            updated_at: ctx.now,
            ..Node::clone(before)
        };
        let mut transaction = Transaction::default();
        let message = format!("{} approved the key {} for node {}", ctx.who(), self.fingerprint, node.name);
        let mut event = ctx.node_event(EventKind::NodeKeyApproved, &node, message);
        event.severity = Severity::Warning;
        event.details.insert("fingerprint".to_owned(), self.fingerprint.to_string());
        transaction.events.push(event);
        let mut audit = ctx.node_audit("node.key.approve", &node);
        audit.metadata.insert("fingerprint".to_owned(), self.fingerprint.to_string());
        transaction.audit.push(audit);
        let node = write_node(&mut transaction, node);
        Ok(Decision::commit(transaction, node).about(self.node))
    }

    fn replay(&self, cluster: &Cluster, _: &str) -> Option<Self::Output> {
        cluster.node(self.node).cloned()
    }
}
