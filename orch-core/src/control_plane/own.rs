//! Commands that only the control plane gives itself.

use std::time::Duration;

use crate::cluster::{Cluster, Transaction};
use crate::command::{Command, Ctx, Decision, Rejection, ResetNode, RevokeNode};
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::Incarnation;
use crate::record::{EventKind, Outcome, RelatedObject, Severity};

/// How many rows one pruning removes at most; more are removed at once after.
pub(super) const fn limit_of_prune() -> usize {
    1_000
}

/// The wall clock stepped: said once, and nothing expires by it.
pub(super) struct ClockStepped {
    /// By how much; negative: back.
    pub(super) micros: i64,
}

impl Command for ClockStepped {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, _: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let by = Duration::from_micros(self.micros.unsigned_abs());
        let way = if self.micros < 0 { "back" } else { "forward" };
        let mut event = ctx.event(
            EventKind::ClockStepped,
            Severity::Warning,
            None,
            format!("the wall clock stepped {way} by {} s; cluster time goes on evenly", by.as_secs()),
        );
        event.details.insert("micros".to_owned(), self.micros.to_string());
        Ok(Decision::commit(Transaction { events: vec![event], ..Transaction::default() }, ()))
    }
}

/// The server is open to more than it should be: said at each start, so that nobody runs so unknowingly.
pub(super) struct InsecureStart {
    /// In what ways, each with its remedy.
    pub(super) ways: Vec<String>,
}

impl Command for InsecureStart {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, _: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let event = ctx.event(EventKind::InsecureMode, Severity::Warning, None, self.ways.join("; "));
        Ok(Decision::commit(Transaction { events: vec![event], ..Transaction::default() }, ()))
    }
}

/// Someone used a dead credential anew: the registration ends, so that whoever holds a copy holds nothing. The honest node
/// comes back by its key.
pub(super) struct ContainReuse {
    pub(super) node: NodeId,
    /// Of the credential that was shown. A later registration is not to blame.
    pub(super) incarnation: Incarnation,
    pub(super) generation: u64,
    /// The identity ends for good instead.
    pub(super) revoke: bool,
}

impl Command for ContainReuse {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let node = cluster.node(self.node).ok_or_else(|| Rejection::not_found("node", self.node))?;
        let registered = cluster.credential(self.node).is_some_and(|c| c.incarnation == self.incarnation);
        if node.incarnation != self.incarnation || !registered {
            return Ok(Decision::unchanged(()));
        }
        let mut transaction = if self.revoke {
            RevokeNode { node: self.node }.decide(cluster, ctx)?.transaction
        } else {
            ResetNode { node: self.node }.decide(cluster, ctx)?.transaction
        };
        if !transaction.events.iter().any(|event| event.kind == EventKind::NodeCredentialReset) {
            let message = format!("node {}: a dead credential was used anew", node.name);
            let about = RelatedObject::Node(self.node);
            transaction.events.push(ctx.event(
                EventKind::NodeCredentialReset,
                Severity::Error,
                about,
                message,
            ));
        }
        let mut record = ctx.audit("node.credential.reuse", "node", self.node);
        record.outcome = Outcome::Failure;
        record.metadata.insert("generation".to_owned(), self.generation.to_string());
        record.metadata.insert("incarnation".to_owned(), self.incarnation.0.to_string());
        transaction.audit.push(record);
        Ok(Decision::commit(transaction, ()))
    }
}
