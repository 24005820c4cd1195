//! Make and revoke the tokens that admit new nodes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::EnrollmentTokenId;
use crate::identity::enrollment_token::{LONGEST_LIFE, MOST_USES};
use crate::identity::{Action, CredentialDigest, EnrollmentToken, ShownToken, TokenRefusal, TokenState};
use crate::name::NodeName;
use crate::node::{NodeFacts, NodeStatus};
use crate::record::{AuditRecord, Event, EventKind, Severity};
use crate::time::Timestamp;

/// How many tokens may be live at the same time.
pub const MOST_LIVE: usize = 1_000;
/// How many labels a token may give its nodes.
pub const MOST_LABELS: usize = 32;
/// The shortest life that a token may be given.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// Makes a token that admits new nodes. The token was drawn by the shell: only its keyed hash comes here.
///
/// A repetition under the same idempotency key voids what was made first and makes another, since a token is told once.
#[derive(Clone, Debug)]
pub struct CreateEnrollmentToken {
    /// A fresh id.
    pub id: EnrollmentTokenId,
    /// The token's keyed hash.
    pub digest: CredentialDigest,
    /// The one name that it admits; `None`: any that nobody has.
    pub node_name: Option<NodeName>,
    /// Labels of the nodes that it admits, which these cannot change.
    pub labels: BTreeMap<String, String>,
    /// How many nodes it admits.
    pub uses: u32,
    /// How long.
    pub life: Duration,
}

impl Command for CreateEnrollmentToken {
    const ACTION: Action = Action::ManageEnrollmentTokens;
    type Output = Arc<EnrollmentToken>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        self.check(cluster, ctx)?;
        let token = EnrollmentToken {
            id: self.id,
            digest: self.digest,
            node_name: self.node_name,
            labels: self.labels,
            uses: self.uses,
            admitted: Vec::new(),
            made_by: ctx.who(),
            created_at: ctx.now,
            expires_at: ctx.now + self.life,
            revoked_at: None,
            refused: [].into(),
        };
        let mut transaction = Transaction::default();
        let nodes = if token.uses == 1 { "a node".to_owned() } else { format!("{} nodes", token.uses) };
        let name = token.node_name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
        let message =
            format!("{} made a token that admits {nodes}{name} until {}", token.made_by, token.expires_at);
        transaction.events.push(ctx.token_event(EventKind::EnrollmentTokenCreated, &token, message));
        let mut audit = ctx.token_audit("enrollment.token.create", &token);
        audit.metadata.insert("uses".to_owned(), token.uses.to_string());
        audit.metadata.insert("expires_at".to_owned(), token.expires_at.to_string());
        transaction.audit.push(audit);
        transaction.put(token.clone());
        let id = token.id;
        Ok(Decision::commit(transaction, Arc::new(token)).about(id))
    }

    fn repeat(
        self,
        cluster: &Cluster,
        object: &str,
        ctx: &mut Ctx<'_>,
    ) -> Result<Decision<Self::Output>, Rejection> {
        let first = object.parse().ok().and_then(|id| cluster.enrollment_token(id));
        let mut decision = self.decide(cluster, ctx)?;
        if let Some(first) = first {
            let mut voided = Transaction::default();
            revoke(first, ctx, &mut voided);
            voided.changes.append(&mut decision.transaction.changes);
            voided.events.append(&mut decision.transaction.events);
            voided.audit.append(&mut decision.transaction.audit);
            decision.transaction = voided;
        }
        Ok(decision)
    }
}

impl CreateEnrollmentToken {
    fn check(&self, cluster: &Cluster, ctx: &Ctx<'_>) -> Result<(), Rejection> {
        if !(1..=MOST_USES).contains(&self.uses) {
            let problem = format!("{} is out of range", self.uses);
            let expected = format!("1 to {MOST_USES} nodes");
            return Err(Rejection::invalid(FieldPath::new("uses"), problem, expected));
        }
        if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&self.life) {
            let expected = format!("1 to {} seconds", LONGEST_LIFE.as_secs());
            return Err(Rejection::invalid(FieldPath::new("ttl_seconds"), "it is out of range", expected));
        }
        if self.uses > 1 && self.node_name.is_some() {
            let expected = "1, since one node can have the name";
            return Err(Rejection::invalid(FieldPath::new("uses"), "the token is for one name", expected));
        }
        check_labels(&self.labels)?;
        if let Some(node) = self.node_name.as_ref().and_then(|name| cluster.node_named(name)) {
            let why = match (node.status, &node.key) {
                (NodeStatus::Revoked, _) => "is revoked; remove it first",
                (_, Some(_)) => "is there, and comes back by its key; another key of it can be approved",
                (_, None) => "",
            };
            if !why.is_empty() {
                return Err(Rejection::Conflict(format!("node {} {why}", node.name)));
            }
        }
        if cluster.enrollment_token(self.id).is_some() {
            return Err(Rejection::Conflict("the token's id is taken".to_owned()));
        }
        let live = cluster.enrollment_tokens().filter(|token| token.state(ctx.now) == TokenState::Live);
        if live.count() >= MOST_LIVE {
            let problem = format!("{MOST_LIVE} tokens are live, and more cannot be; revoke some");
            return Err(Rejection::Conflict(problem));
        }
        Ok(())
    }
}

/// Labels as a node may have them. Facts are the node's own to find.
fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Rejection> {
    let at = FieldPath::new("labels");
    if labels.len() > MOST_LABELS {
        let problem = format!("they are {}", labels.len());
        return Err(Rejection::invalid(at, problem, format!("at most {MOST_LABELS}")));
    }
    let unfit = |text: &str| text.len() > 256 || text.chars().any(char::is_control);
    for (key, value) in labels {
        let odd = |c: char| c.is_whitespace() || c == '=' || c == ',';
        if key.is_empty() || unfit(key) || key.contains(odd) {
            let expected = "keys of 1 to 256 characters without blanks, `=` and `,`";
            return Err(Rejection::invalid(at, "a key is none", expected));
        }
        if NodeFacts::KEYS.contains(&key.as_str()) {
            let problem = "that is a fact, which the agent finds itself";
            return Err(Rejection::invalid(at.field(key), problem, "another key"));
        }
        if unfit(value) {
            let expected = "at most 256 characters without control characters";
            return Err(Rejection::invalid(at.field(key), "it is no label", expected));
        }
    }
    Ok(())
}

/// Takes a token back: it admits nobody any more. Nodes that it admitted stay. Idempotent.
#[derive(Clone, Debug)]
pub struct RevokeEnrollmentToken {
    /// Which token.
    pub token: EnrollmentTokenId,
}

impl Command for RevokeEnrollmentToken {
    const ACTION: Action = Action::ManageEnrollmentTokens;
    type Output = Arc<EnrollmentToken>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let token = cluster
            .enrollment_token(self.token)
            .ok_or_else(|| Rejection::not_found("enrolment token", self.token))?;
        let mut transaction = Transaction::default();
        let revoked = revoke(token, ctx, &mut transaction);
        Ok(Decision::commit(transaction, revoked).about(self.token))
    }

    fn replay(&self, cluster: &Cluster, _: &str) -> Option<Self::Output> {
        cluster.enrollment_token(self.token).cloned()
    }
}

/// The token as it is then; nothing is written of one that was revoked before.
fn revoke(
    token: &Arc<EnrollmentToken>,
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
) -> Arc<EnrollmentToken> {
    if token.revoked_at.is_some() {
        return Arc::clone(token);
    }
    let revoked = EnrollmentToken { revoked_at: Some(ctx.now), ..EnrollmentToken::clone(token) };
    let message = format!("{} took an enrolment token of {} back", ctx.who(), token.made_by);
    transaction.events.push(ctx.token_event(EventKind::EnrollmentTokenRevoked, &revoked, message));
    transaction.audit.push(ctx.token_audit("enrollment.token.revoke", &revoked));
    let revoked = Arc::new(revoked);
    transaction.changes.push(crate::cluster::Change::EnrollmentToken(Arc::clone(&revoked)));
    revoked
}

/// Why a token that was shown does not let a node of that name in, which no key lets in; `None`: it does.
pub(crate) fn refusal(
    cluster: &Cluster,
    shown: &ShownToken,
    name: &NodeName,
    has_key: bool,
    now: Timestamp,
) -> Option<TokenRefusal> {
    let Some(token) = cluster.enrollment_token(shown.id) else { return Some(TokenRefusal::Forgotten) };
    token.refusal(shown, name, now).or_else(|| match cluster.node_named(name) {
        Some(node) if node.key.is_some() || token.node_name.is_none() => Some(TokenRefusal::NameTaken),
        _ if !has_key => Some(TokenRefusal::NoKey),
        _ => None,
    })
}

/// Writes that a token was shown which does not let in whoever showed it: an event and an audit record for each reason, once.
#[derive(Clone, Debug)]
pub(crate) struct NoteRefusedToken {
    pub(crate) shown: ShownToken,
    /// The name that was asked for.
    pub(crate) name: NodeName,
    pub(crate) has_key: bool,
}

impl Command for NoteRefusedToken {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let reason = refusal(cluster, &self.shown, &self.name, self.has_key, ctx.now);
        let (Some(reason), Some(token)) = (reason, cluster.enrollment_token(self.shown.id)) else {
            return Ok(Decision::unchanged(()));
        };
        if reason == TokenRefusal::Forgotten || token.refused.contains(&reason) {
            return Ok(Decision::unchanged(()));
        }
        let mut noted = EnrollmentToken::clone(token);
        noted.refused.insert(reason);
        let mut transaction = Transaction::default();
        let message = format!(
            "an enrolment token of {} was shown for node {} and refused: {}",
            token.made_by,
            self.name,
            reason.as_str()
        );
        let mut event = ctx.token_event(EventKind::EnrollmentTokenRefused, &noted, message);
        // Whoever shows one that was used up or taken back may have a copy.
        let alarming = matches!(reason, TokenRefusal::Spent | TokenRefusal::Revoked);
        event.severity = if alarming { Severity::Error } else { Severity::Warning };
        event.details.insert("reason".to_owned(), reason.as_str().to_owned());
        event.details.insert("shown_for".to_owned(), self.name.to_string());
        transaction.events.push(event);
        let mut audit = ctx.token_audit("enrollment.token.refuse", &noted);
        audit.outcome = crate::record::Outcome::Failure;
        audit.metadata.insert("reason".to_owned(), reason.as_str().to_owned());
        audit.metadata.insert("shown_for".to_owned(), self.name.to_string());
        transaction.audit.push(audit);
        transaction.put(noted);
        Ok(Decision::commit(transaction, ()))
    }
}

impl Ctx<'_> {
    fn token_event(&mut self, kind: EventKind, token: &EnrollmentToken, message: String) -> Event {
        let mut event = self.event(kind, Severity::Info, None, message);
        event.details.insert("token_id".to_owned(), token.id.to_string());
        event
    }

    fn token_audit(&mut self, action: &str, token: &EnrollmentToken) -> AuditRecord {
        let mut record = self.audit(action, "enrollment_token", token.id);
        if let Some(name) = &token.node_name {
            record.metadata.insert("node_name".to_owned(), name.to_string());
        }
        record
    }
}

#[cfg(test)]
mod tests;
