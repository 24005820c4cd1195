//! Let a node in, for the first time or again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::enrollment_token::refusal;
use super::rejection::Unauthorized;
use super::versions::write_node;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::NodeId;
use crate::identity::{
    Action, Attestation, CredentialBinding, EnrollmentToken, Issued, KeyFingerprint, NodeCredential,
    NodePublicKey, Proven, RegistrationClaim, TokenRefusal,
};
use crate::node::version::{AgentVersion, OLDEST_AGENT};
use crate::node::{EnrollmentMethod, Incarnation, Node, NodeEnrollment, NodeFacts, NodeStatus};
use crate::record::{EventKind, Severity};

/// Registers a node.
///
/// A new name needs something that speaks for it: a token, say. A name that is bound to a key needs that key and nothing else,
/// proven for the registration that counts now: a token that leaked takes no node over, and a proof that is sent twice is
/// stale the second time. A name without a key needs a token, and may be bound to a key from then on. A key that an admin
/// approved is as good as the one that the name is bound to, once.
///
/// A one-time token is spent here, on a name that nobody has or that it was made for, and only where there is a node key: so
/// whoever did not hear the answer asks again by the key, and spends nothing.
///
/// The shell issues the credential before the decision, for the registration that its image leads it to expect:
/// `credential_for` is the node's id (a fresh one for a new name) and its next incarnation. Where another registration was
/// faster the answer is a [`Rejection::Conflict`], and the shell issues anew on a fresh image.
#[derive(Clone, Debug)]
pub struct RegisterNode {
    /// What the node says of itself.
    pub claim: RegistrationClaim,
    /// What it proved.
    pub proven: Proven,
    /// Its first credential of this registration.
    pub credential: Issued,
    /// The node and the registration that `credential` was issued for.
    pub credential_for: (NodeId, Incarnation),
    /// What else the credential is bound to.
    pub binding: CredentialBinding,
    /// The registration that counts now sent a heartbeat a moment ago. Another boot of the agent is then kept out, since two
    /// agents would fight over one node.
    pub active_boot: bool,
}

/// What a registration made.
#[derive(Clone, Debug)]
pub struct RegisteredNode {
    /// The node.
    pub node: Arc<Node>,
}

impl Command for RegisterNode {
    const ACTION: Action = Action::RegisterNode;
    type Output = RegisteredNode;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<RegisteredNode>, Rejection> {
        let before = cluster.node_named(&self.claim.name);
        let way = self.way_in(cluster, before, ctx)?;
        self.check_may_come(cluster, before, ctx)?;
        self.check_claim()?;
        let expected = match before {
            Some(node) => (node.id, Incarnation(node.incarnation.0 + 1)),
            None if cluster.node(self.credential_for.0).is_some() => {
                return Err(Rejection::Conflict("the node was registered under another name".to_owned()));
            }
            None => (self.credential_for.0, Incarnation(1)),
        };
        if self.credential_for != expected {
            return Err(Rejection::Conflict("the node was registered meanwhile".to_owned()));
        }

        let mut transaction = Transaction::default();
        transaction.put(NodeCredential {
            node: expected.0,
            incarnation: expected.1,
            current: self.credential,
            next: None,
            superseded: None,
            highest_sequence: 0,
        });
        let node = self.registered(before, expected, &way, ctx)?;
        if let WayIn::Token(token) = way {
            transaction.put(token.spent_on(node.id, &node.name, ctx.now));
        }
        write_history(ctx, &mut transaction, before, &node);
        let node = write_node(&mut transaction, node);
        let id = node.id;
        Ok(Decision::commit(transaction, RegisteredNode { node }).about(id))
    }
}

/// What lets a node in.
enum WayIn<'c> {
    /// The key that its name is bound to.
    Key,
    /// The key that was approved for it.
    ApprovedKey,
    /// A one-time token, to be spent.
    Token(&'c Arc<EnrollmentToken>),
    /// Anything else that was attested.
    Attested(EnrollmentMethod),
}

impl RegisterNode {
    /// What of all that was proven is enough for this name. Strangers get one answer, whatever is there.
    fn way_in<'c>(
        &self,
        cluster: &'c Cluster,
        before: Option<&Arc<Node>>,
        ctx: &Ctx<'_>,
    ) -> Result<WayIn<'c>, Rejection> {
        let stranger = || Rejection::Unauthorized(Unauthorized::Unknown);
        let incarnation = before.map_or(0, |node| node.incarnation.0);
        let bound = before.and_then(|node| node.key.as_ref());
        if let Some((key, expects)) = &self.proven.key {
            if *expects != incarnation {
                return Err(stranger());
            }
            if bound == Some(key) {
                return Ok(WayIn::Key);
            }
            let approved = before.and_then(|node| node.approved_key.as_ref());
            if approved.is_some_and(|approved| approved.is(key, ctx.now)) {
                return Ok(WayIn::ApprovedKey);
            }
        }
        if bound.is_some() {
            return Err(stranger());
        }
        match &self.proven.attestation {
            None => Err(stranger()),
            Some(Attestation::StaticToken) => Ok(WayIn::Attested(EnrollmentMethod::StaticToken)),
            Some(Attestation::Other(word)) => Ok(WayIn::Attested(EnrollmentMethod::Other(word.clone()))),
            Some(Attestation::Open) => Ok(WayIn::Attested(EnrollmentMethod::Open)),
            Some(Attestation::OneTimeToken(shown)) => {
                let has_key = self.proven.key.is_some();
                match refusal(cluster, shown, &self.claim.name, has_key, ctx.now) {
                    None => cluster.enrollment_token(shown.id).map(WayIn::Token).ok_or_else(stranger),
                    Some(TokenRefusal::NoKey) => Err(Rejection::Forbidden(
                        "a one-time token lets in only agents that have a node key".to_owned(),
                    )),
                    Some(_) => Err(stranger()),
                }
            }
        }
    }

    /// Whether a node that has a way in may come by it now.
    fn check_may_come(
        &self,
        cluster: &Cluster,
        before: Option<&Arc<Node>>,
        ctx: &Ctx<'_>,
    ) -> Result<(), Rejection> {
        let proven = self.proven.key.as_ref();
        // Never again means: with this key, under whatever name.
        let is_revoked = |key| {
            let mut revoked = cluster.nodes().filter(|node| node.status == NodeStatus::Revoked);
            revoked.any(|node| node.key.as_ref() == Some(key))
        };
        if proven.is_some_and(|(key, _)| is_revoked(key)) {
            return Err(Rejection::Unauthorized(Unauthorized::NodeRevoked));
        }
        if let Some(node) = before {
            if node.status == NodeStatus::Revoked {
                return Err(Rejection::Unauthorized(Unauthorized::NodeRevoked));
            }
            let is_away = matches!(node.status, NodeStatus::Offline { .. });
            if self.active_boot && !is_away && node.boot != self.claim.boot {
                return Err(Rejection::Unauthorized(Unauthorized::NodeActive));
            }
        }
        if proven.is_none() && !ctx.policy.allow_keyless_nodes {
            return Err(Rejection::Forbidden("this cluster lets in only nodes with a node key".to_owned()));
        }
        Ok(())
    }

    fn check_claim(&self) -> Result<(), Rejection> {
        check_agent_version(&self.claim.agent_version, FieldPath::new("agent_version"))?;
        let address = &self.claim.advertise_address;
        if address.trim().is_empty() || address.contains(|c: char| c.is_control() || c == ' ') {
            let field = FieldPath::new("advertise_address");
            return Err(Rejection::invalid(
                field,
                "it is no address",
                "a host name or address, maybe with a port",
            ));
        }
        check_facts(&self.claim.facts)?;
        if !self.claim.allocatable.fits_in(self.claim.capacity) {
            let field = FieldPath::new("allocatable");
            return Err(Rejection::invalid(field, "it is above the capacity", "at most the capacity"));
        }
        Ok(())
    }

    /// The node as it is from now on.
    fn registered(
        &self,
        before: Option<&Arc<Node>>,
        (id, incarnation): (NodeId, Incarnation),
        way: &WayIn<'_>,
        ctx: &Ctx<'_>,
    ) -> Result<Node, Rejection> {
        let (enrollment, pinned_labels) = way.noted(before, ctx);
        let approved_key = before.and_then(|node| node.approved_key.clone());
        let mut labels = self.claim.labels.clone();
        labels.extend(pinned_labels.clone());
        let status = before.map_or(Ok(NodeStatus::Ready), |node| node.status.seen());
        let key: Option<NodePublicKey> = self.proven.key.as_ref().map(|(key, _)| key.clone());
        Ok(Node {
            id,
            name: self.claim.name.clone(),
            advertise_address: self.claim.advertise_address.clone(),
            labels,
            facts: self.claim.facts.clone(),
            capacity: self.claim.capacity,
            allocatable: self.claim.allocatable,
            status: status.map_err(|_| Rejection::Unauthorized(Unauthorized::NodeRevoked))?,
            cordoned: before.is_some_and(|node| node.cordoned),
            engine_trouble: before.and_then(|node| node.engine_trouble.clone()),
            drain_by: before.and_then(|node| node.drain_by),
            drain_waits: before.map(|node| node.drain_waits.clone()).unwrap_or_default(),
            incarnation,
            boot: self.claim.boot,
            key,
            enrollment,
            pinned_labels,
            approved_key: approved_key.filter(|_| !matches!(way, WayIn::ApprovedKey)),
            binding: self.binding,
            agent_version: self.claim.agent_version.clone(),
            revision: ctx.revision,
            created_at: before.map_or(ctx.now, |node| node.created_at),
            updated_at: ctx.now,
        })
    }
}

impl WayIn<'_> {
    /// How the node came in, and its pinned labels, once it has come this way.
    fn noted(&self, before: Option<&Arc<Node>>, ctx: &Ctx<'_>) -> (NodeEnrollment, BTreeMap<String, String>) {
        let old = before.map(|node| node.enrollment.clone()).unwrap_or_default();
        let mut labels = before.map(|node| node.pinned_labels.clone()).unwrap_or_default();
        let (method, by) = match self {
            Self::Key => return (old, labels),
            Self::ApprovedKey => {
                let approved = before.and_then(|node| node.approved_key.as_ref());
                (EnrollmentMethod::ApprovedKey, approved.map(|approved| approved.by.clone()))
            }
            Self::Token(token) => {
                labels.extend(token.labels.clone());
                (EnrollmentMethod::OneTimeToken(token.id), Some(token.made_by.clone()))
            }
            // An agent without a key shows its token each time; when it did first is what is kept.
            Self::Attested(method) if *method == old.method => return (old, labels),
            Self::Attested(method) => (method.clone(), None),
        };
        (NodeEnrollment { method, by, at: Some(ctx.now) }, labels)
    }
}

fn write_history(ctx: &mut Ctx<'_>, transaction: &mut Transaction, before: Option<&Arc<Node>>, node: &Node) {
    let again = if before.is_some() { " again" } else { "" };
    let message = format!("node {} registered{again}", node.name);
    let mut event = ctx.node_event(EventKind::NodeRegistered, node, message);
    event.details.insert("incarnation".to_owned(), node.incarnation.0.to_string());
    event.details.insert("agent_version".to_owned(), node.agent_version.clone());
    describe_way(&mut event.details, node);
    transaction.events.push(event);
    note_new_key(ctx, transaction, before, node);
    if node.key.is_none() {
        let message = format!(
            "node {} registered without a node key: its name is guarded by the token alone",
            node.name
        );
        let mut event = ctx.node_event(EventKind::NodeKeyless, node, message);
        event.severity = Severity::Warning;
        transaction.events.push(event);
    }
    if let Some(before) = before {
        ctx.note_node_status(transaction, before.status, node);
    }
    let mut audit = ctx.node_audit("agent.register", node);
    audit.metadata.insert("incarnation".to_owned(), node.incarnation.0.to_string());
    describe_way(&mut audit.metadata, node);
    transaction.audit.push(audit);
}

/// How the node came in, and by which key it is known.
fn describe_way(details: &mut BTreeMap<String, String>, node: &Node) {
    details.insert("enrolled_by".to_owned(), node.enrollment.method.as_str().to_owned());
    if let EnrollmentMethod::OneTimeToken(token) = node.enrollment.method {
        details.insert("token_id".to_owned(), token.to_string());
    }
    if let Some(key) = &node.key {
        details.insert("key".to_owned(), KeyFingerprint::of(key).to_string());
    }
}

/// Says that a node is bound to another key than before.
fn note_new_key(ctx: &mut Ctx<'_>, transaction: &mut Transaction, before: Option<&Arc<Node>>, node: &Node) {
    let (Some(old), Some(new)) = (before.and_then(|before| before.key.as_ref()), &node.key) else { return };
    if old == new {
        return;
    }
    let (old, new) = (KeyFingerprint::of(old), KeyFingerprint::of(new));
    let message = format!("node {} came with the key that was approved: {new}; it was {old}", node.name);
    let mut event = ctx.node_event(EventKind::NodeKeyReplaced, node, message);
    event.severity = Severity::Warning;
    transaction.events.push(event);
    let mut audit = ctx.node_audit("node.key.replace", node);
    audit.metadata.insert("old".to_owned(), old.to_string());
    audit.metadata.insert("new".to_owned(), new.to_string());
    transaction.audit.push(audit);
}

/// Refuses an agent that is too old.
pub(super) fn check_agent_version(version: &str, field: FieldPath) -> Result<(), Rejection> {
    match AgentVersion::of(version) {
        AgentVersion::Tested | AgentVersion::Untested => Ok(()),
        AgentVersion::TooOld => {
            let problem = format!("an agent of version {} is too old", version.escape_debug());
            Err(Rejection::invalid(field, problem, format!("at least {OLDEST_AGENT}")))
        }
    }
}

/// Whether facts are what an agent may say.
pub(super) fn check_facts(facts: &NodeFacts) -> Result<(), Rejection> {
    let Some(key) = facts.unfit() else { return Ok(()) };
    let field = FieldPath::new("facts").field(key.trim_start_matches("node."));
    let expected = "at most 256 characters without control characters";
    Err(Rejection::invalid(field, "it is no fact", expected))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::command::{DrainNode, HeartbeatNode, NodeFellSilent, ResetNode, RevokeNode};
    use crate::id::BootId;
    use crate::node::Resources;
    use crate::testing::World;
    use crate::testing::decide::issued;

    fn boot(n: u64) -> BootId {
        crate::id::IdStream::seeded(n).next()
    }

    fn key(name: &str, expects: u64) -> Proven {
        Proven { key: Some((NodePublicKey(name.to_owned()), expects)), ..Proven::default() }
    }

    fn token(proven: Proven) -> Proven {
        Proven { attestation: Some(Attestation::StaticToken), ..proven }
    }

    /// A registration of `a`, as the shell makes it on the image that it sees.
    fn register(world: &mut World, proven: Proven) -> RegisterNode {
        let name = "a".parse().unwrap();
        let credential_for = match world.cluster.node_named(&name) {
            Some(node) => (node.id, Incarnation(node.incarnation.0 + 1)),
            None => (world.ids.next(), Incarnation(1)),
        };
        RegisterNode {
            claim: RegistrationClaim {
                facts: Default::default(),
                name,
                advertise_address: "10.0.0.1".to_owned(),
                labels: [("zone".to_owned(), "a".to_owned())].into(),
                capacity: Resources::new(4000, 8 << 30),
                allocatable: Resources::new(3500, 7 << 30),
                agent_version: "0.3.0".to_owned(),
                boot: Some(boot(1)),
            },
            proven,
            credential: issued(1, world.now),
            credential_for,
            binding: CredentialBinding::Token,
            active_boot: false,
        }
    }

    fn try_with(world: &mut World, proven: Proven) -> Result<Arc<Node>, Rejection> {
        let command = register(world, proven);
        world.execute(command).map(|registered| registered.node)
    }

    fn refused(answer: Result<Arc<Node>, Rejection>) -> Unauthorized {
        match answer.unwrap_err() {
            Rejection::Unauthorized(reason) => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn facts_are_words_and_no_more() {
        let mut world = World::new();
        for bad in ["x".repeat(257), "a\nb".to_owned()] {
            let mut command = register(&mut world, token(Proven::default()));
            command.claim.facts.engine_version = Some(bad);
            let answer = world.execute(command).map(|_| ());
            let Err(Rejection::Invalid { field, .. }) = answer else { panic!("{answer:?}") };
            assert_eq!(field.as_str(), "facts.engine_version");
        }
    }

    #[test]
    fn a_new_node_needs_a_token_and_is_bound_to_its_key() {
        let mut world = World::new();
        for worthless in [Proven::default(), key("k", 0), token(key("k", 1))] {
            assert_eq!(refused(try_with(&mut world, worthless)), Unauthorized::Unknown);
        }
        let node = try_with(&mut world, token(key("k", 0))).unwrap();
        assert_eq!((node.incarnation, node.status), (Incarnation(1), NodeStatus::Ready));
        assert_eq!(node.key, Some(NodePublicKey("k".to_owned())));
        let row = world.cluster.credential(node.id).unwrap();
        assert_eq!((row.incarnation, row.current.generation, row.next), (Incarnation(1), 1, None));
        assert_eq!((world.count(EventKind::NodeRegistered), world.count(EventKind::NodeKeyless)), (1, 0));
        assert_eq!(world.audit[0].action, "agent.register");
    }

    #[test]
    fn a_bound_node_comes_back_by_its_key_alone_and_a_token_does_not_take_it_over() {
        let mut world = World::new();
        let first = try_with(&mut world, token(key("k", 0))).unwrap();
        for worthless in [token(Proven::default()), token(key("other", 1)), key("k", 0), key("k", 2)] {
            assert_eq!(refused(try_with(&mut world, worthless)), Unauthorized::Unknown);
        }
        let again = try_with(&mut world, key("k", 1)).unwrap();
        assert_eq!((again.id, again.incarnation), (first.id, Incarnation(2)));
        assert_eq!(again.created_at, first.created_at);
        assert_eq!(refused(try_with(&mut world, key("k", 1))), Unauthorized::Unknown, "the proof is stale");
    }

    #[test]
    fn a_node_without_a_key_is_let_in_where_policy_allows_and_may_be_bound_later() {
        let mut world = World::new();
        world.policy.allow_keyless_nodes = false;
        let keyless = try_with(&mut world, token(Proven::default()));
        assert!(matches!(keyless, Err(Rejection::Forbidden(_))));
        world.policy.allow_keyless_nodes = true;
        let first = try_with(&mut world, token(Proven::default())).unwrap();
        assert_eq!((first.key.clone(), world.count(EventKind::NodeKeyless)), (None, 1));
        assert_eq!(refused(try_with(&mut world, Proven::default())), Unauthorized::Unknown);
        assert_eq!(refused(try_with(&mut world, key("k", 1))), Unauthorized::Unknown);
        let bound = try_with(&mut world, token(key("k", 1))).unwrap();
        assert_eq!((bound.id, bound.key.is_some()), (first.id, true));
        assert_eq!(refused(try_with(&mut world, token(Proven::default()))), Unauthorized::Unknown);
    }

    #[test]
    fn an_open_cluster_lets_strangers_in() {
        let mut world = World::new();
        let open = Proven::by(Attestation::Open);
        assert!(try_with(&mut world, open).is_ok());
    }

    #[test]
    fn another_boot_is_kept_out_while_the_node_is_active() {
        let mut world = World::new();
        try_with(&mut world, token(key("k", 0))).unwrap();
        let mut other = register(&mut world, key("k", 1));
        other.active_boot = true;
        let mut same = other.clone();
        other.claim.boot = Some(boot(2));
        let refusal = world.execute(other.clone()).map(|registered| registered.node);
        assert_eq!(refused(refusal), Unauthorized::NodeActive);
        let again = world.execute(same.clone()).unwrap().node;
        assert_eq!(again.incarnation, Incarnation(2));

        world.execute(NodeFellSilent::alone(again.id, Incarnation(2))).unwrap();
        same = register(&mut world, key("k", 2));
        other = RegisterNode { claim: other.claim, active_boot: true, ..same };
        assert_eq!(world.execute(other).unwrap().node.boot, Some(boot(2)));
    }

    #[test]
    fn a_revoked_node_is_told_so_once_it_proved_who_it_is() {
        let mut world = World::new();
        let node = try_with(&mut world, token(key("k", 0))).unwrap().id;
        world.execute(RevokeNode { node }).unwrap();
        assert_eq!(refused(try_with(&mut world, token(Proven::default()))), Unauthorized::Unknown);
        assert_eq!(refused(try_with(&mut world, key("k", 1))), Unauthorized::NodeRevoked);
    }

    #[test]
    fn a_reset_node_returns_by_its_key() {
        let mut world = World::new();
        let node = try_with(&mut world, token(key("k", 0))).unwrap().id;
        world.execute(ResetNode { node }).unwrap();
        let back = try_with(&mut world, key("k", 2)).unwrap();
        assert_eq!((back.id, back.incarnation), (node, Incarnation(3)));
        assert!(world.cluster.credential(node).is_some());
    }

    #[test]
    fn a_node_that_was_away_is_back_and_goes_on_draining() {
        let mut world = World::new();
        let node = try_with(&mut world, token(key("k", 0))).unwrap().id;
        world.execute(DrainNode { node, within: None }).unwrap();
        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        let before = world.count(EventKind::NodeStatusChanged);
        assert_eq!(try_with(&mut world, key("k", 1)).unwrap().status, NodeStatus::Draining);
        assert_eq!(world.count(EventKind::NodeStatusChanged), before + 1);
    }

    #[test]
    fn a_credential_for_another_registration_is_issued_anew() {
        let mut world = World::new();
        let early = register(&mut world, token(key("k", 0)));
        let node = try_with(&mut world, token(key("k", 0))).unwrap();
        let mut late = RegisterNode { proven: key("k", 1), ..early };
        assert!(matches!(world.execute(late.clone()), Err(Rejection::Conflict(_))));
        late.credential_for = (node.id, Incarnation(1));
        assert!(matches!(world.execute(late.clone()), Err(Rejection::Conflict(_))));
        late.claim.name = "b".parse().unwrap();
        late.proven = token(key("k2", 0));
        assert!(matches!(world.execute(late), Err(Rejection::Conflict(_))), "the id is taken");
    }

    #[test]
    fn a_claim_that_makes_no_sense_is_refused() {
        let mut world = World::new();
        let fine = register(&mut world, token(key("k", 0)));
        let mut refused = |spoil: fn(&mut RegistrationClaim)| {
            let mut command = fine.clone();
            spoil(&mut command.claim);
            match world.execute(command) {
                Err(Rejection::Invalid { field, .. }) => field.to_string(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused(|claim| claim.advertise_address = " ".to_owned()), "advertise_address");
        assert_eq!(refused(|claim| claim.allocatable.cpu_millis = 4001), "allocatable");
        assert_eq!(refused(|claim| claim.agent_version = "0.1.9".to_owned()), "agent_version");
    }

    #[test]
    fn after_a_registration_the_old_one_is_dead() {
        let mut world = World::new();
        let node = try_with(&mut world, token(key("k", 0))).unwrap().id;
        let old = world.principal_of(node);
        world.advance(Duration::from_secs(1));
        try_with(&mut world, key("k", 1)).unwrap();
        let beat =
            HeartbeatNode { heartbeat: crate::agent::Heartbeat::default(), next: issued(2, world.now) };
        let scope = crate::identity::Scope::Node(node);
        assert_eq!(refused(world.execute_as(&old, &scope, beat)), Unauthorized::NodeReset);
    }
}
