use super::*;
use crate::agent::Heartbeat;
use crate::command::{
    ApproveNodeKey, HeartbeatNode, PruneState, RegisterNode, RemoveNode, ResetNode, RevokeNode,
};
use crate::identity::enrollment_token::KEPT_AFTER_END;
use crate::identity::{
    Attestation, CredentialBinding, KeyFingerprint, NodePublicKey, Proven, RegistrationClaim, Scope,
};
use crate::node::{EnrollmentMethod, Incarnation, Node, Resources};
use crate::record::Outcome;
use crate::testing::World;
use crate::testing::decide::issued;

use crate::command::rejection::Unauthorized;

const HOUR: Duration = Duration::from_secs(3_600);

/// A token for one node of any name, within an hour.
fn creation(world: &mut World) -> CreateEnrollmentToken {
    let id: EnrollmentTokenId = world.ids.next();
    let mut digest = [7; 32];
    digest[..8].copy_from_slice(&world.ids.next_u64().to_le_bytes());
    let digest = CredentialDigest(digest);
    CreateEnrollmentToken { id, digest, node_name: None, labels: BTreeMap::new(), uses: 1, life: HOUR }
}

fn made(world: &mut World, change: impl FnOnce(&mut CreateEnrollmentToken)) -> ShownToken {
    let mut command = creation(world);
    change(&mut command);
    let shown = ShownToken { id: command.id, digest: command.digest };
    world.execute(command).unwrap();
    shown
}

fn key(name: &str) -> NodePublicKey {
    NodePublicKey(name.to_owned())
}

/// A registration as the shell makes it of what was proven, on the image that it sees.
fn registration(world: &mut World, name: &str, proven: Proven) -> RegisterNode {
    let name: NodeName = name.parse().unwrap();
    let credential_for = match world.cluster.node_named(&name) {
        Some(node) => (node.id, Incarnation(node.incarnation.0 + 1)),
        None => (world.ids.next(), Incarnation(1)),
    };
    RegisterNode {
        claim: RegistrationClaim {
            facts: Default::default(),
            name,
            advertise_address: "10.0.0.1".to_owned(),
            labels: [("zone".to_owned(), "mine".to_owned()), ("rack".to_owned(), "7".to_owned())].into(),
            capacity: Resources::new(4000, 8 << 30),
            allocatable: Resources::new(4000, 8 << 30),
            agent_version: "0.3.0".to_owned(),
            boot: None,
        },
        proven,
        credential: issued(1, world.now),
        credential_for,
        binding: CredentialBinding::Token,
        active_boot: false,
    }
}

fn with(shown: ShownToken, key: NodePublicKey, incarnation: u64) -> Proven {
    Proven::by(Attestation::OneTimeToken(shown)).with_key(key, incarnation)
}

fn register(world: &mut World, name: &str, proven: Proven) -> Result<Arc<Node>, Rejection> {
    let command = registration(world, name, proven);
    world.execute(command).map(|registered| registered.node)
}

/// Registers for the first time with a token and a key.
fn join(world: &mut World, name: &str, shown: ShownToken, with_key: &str) -> Result<Arc<Node>, Rejection> {
    register(world, name, with(shown, key(with_key), 0))
}

fn row(world: &World, shown: ShownToken) -> EnrollmentToken {
    EnrollmentToken::clone(world.cluster.enrollment_token(shown.id).unwrap())
}

/// One shape for whoever asks, the reason for those who look after the cluster.
#[track_caller]
fn assert_refused(
    world: &World,
    name: &str,
    shown: ShownToken,
    answer: Result<Arc<Node>, Rejection>,
    why: TokenRefusal,
) {
    assert_eq!(answer.unwrap_err(), Rejection::Unauthorized(Unauthorized::Unknown));
    let name = name.parse().unwrap();
    assert_eq!(refusal(&world.cluster, &shown, &name, true, world.now), Some(why));
}

#[test]
fn a_token_is_made_for_so_many_nodes_and_so_long_and_its_making_is_written_down() {
    let mut world = World::new();
    let shown = made(&mut world, |token| token.uses = 3);
    let row = row(&world, shown);
    assert_eq!((row.state(world.now), row.left()), (TokenState::Live, 3));
    assert_eq!((row.made_by.as_str(), row.expires_at), ("test", world.now + HOUR));
    assert_eq!(world.count(EventKind::EnrollmentTokenCreated), 1);
    let audit = world.audit.last().unwrap();
    assert_eq!(
        (audit.action.as_str(), audit.target_id.as_str()),
        ("enrollment.token.create", &*shown.id.to_string())
    );
}

#[test]
fn a_token_that_makes_no_sense_is_refused_with_the_field() {
    let mut world = World::new();
    type Spoil = fn(&mut CreateEnrollmentToken);
    let spoils: [(Spoil, &str); 8] = [
        (|t| t.uses = 0, "uses"),
        (|t| t.uses = MOST_USES + 1, "uses"),
        (|t| (t.uses, t.node_name) = (2, Some("a".parse().unwrap())), "uses"),
        (|t| t.life = Duration::ZERO, "ttl_seconds"),
        (|t| t.life = LONGEST_LIFE + Duration::from_secs(1), "ttl_seconds"),
        (|t| drop(t.labels.insert("a b".to_owned(), String::new())), "labels"),
        (|t| drop(t.labels.insert("node.arch".to_owned(), "x".to_owned())), "labels.node.arch"),
        (|t| drop(t.labels.insert("zone".to_owned(), "a\nb".to_owned())), "labels.zone"),
    ];
    for (spoil, wrong) in spoils {
        let mut command = creation(&mut world);
        spoil(&mut command);
        let answer = world.execute(command).map(|_| ());
        let Err(Rejection::Invalid { field, .. }) = answer else { panic!("{wrong}: {answer:?}") };
        assert_eq!(field.as_str(), wrong);
    }
    assert_eq!(world.cluster.enrollment_tokens().count(), 0);
}

/// M13: a token is good for one node, and spent in the transaction that creates it.
#[test]
fn a_token_is_spent_in_the_transaction_that_creates_the_node() {
    let mut world = World::new();
    let shown = made(&mut world, |_| ());
    let revision = world.cluster.revision();
    let node = join(&mut world, "a", shown, "k").unwrap();
    assert_eq!(world.cluster.revision(), revision.next());
    let row = row(&world, shown);
    assert_eq!((row.state(world.now), row.admitted[0].node), (TokenState::Spent, node.id));
    assert_eq!(node.enrollment.method, EnrollmentMethod::OneTimeToken(shown.id));
    assert_eq!((node.enrollment.by.as_deref(), node.enrollment.at), (Some("test"), Some(world.now)));
    let audit = world.audit.iter().find(|record| record.action == "agent.register").unwrap();
    assert_eq!(audit.metadata["token_id"], shown.id.to_string());
    let answer = join(&mut world, "b", shown, "other");
    assert_refused(&world, "b", shown, answer, TokenRefusal::Spent);
}

/// M5: whoever did not hear the answer asks again by its key, and spends nothing.
#[test]
fn a_lost_answer_does_not_spend_the_token_again() {
    let mut world = World::new();
    let shown = made(&mut world, |token| token.uses = 2);
    let first = join(&mut world, "a", shown, "k").unwrap();
    for incarnation in 1..4 {
        let again = register(&mut world, "a", with(shown, key("k"), incarnation)).unwrap();
        assert_eq!((again.id, again.enrollment.clone()), (first.id, first.enrollment.clone()));
    }
    assert_eq!(row(&world, shown).left(), 1);
    join(&mut world, "b", shown, "k2").unwrap();
    assert_eq!(row(&world, shown).left(), 0);
}

/// A message that is repeated proves nothing the second time: the registration that it was signed for is past.
#[test]
fn registration_replay() {
    let mut world = World::new();
    let shown = made(&mut world, |token| token.uses = 2);
    join(&mut world, "a", shown, "k").unwrap();
    let replayed = join(&mut world, "a", shown, "k").unwrap_err();
    assert_eq!(replayed, Rejection::Unauthorized(Unauthorized::Unknown));
    assert_eq!(row(&world, shown).left(), 1);
}

/// Decided one after the other, however close they came: exactly one wins.
#[test]
fn one_time_token_used_twice_at_once() {
    let mut world = World::new();
    let shown = made(&mut world, |_| ());
    let [a, b] = ["a", "b"].map(|name| registration(&mut world, name, with(shown, key(name), 0)));
    assert!(world.execute(a).is_ok());
    let late = world.execute(b).map(|registered| registered.node);
    assert_refused(&world, "b", shown, late, TokenRefusal::Spent);
    assert_eq!(world.cluster.nodes().count(), 1);
}

#[test]
fn tokens_that_ended_or_are_for_another_name_let_nobody_in_and_say_nothing() {
    let mut world = World::new();
    let (short, revoked, named) = (
        made(&mut world, |token| token.life = Duration::from_secs(60)),
        made(&mut world, |_| ()),
        made(&mut world, |token| token.node_name = Some("a".parse().unwrap())),
    );
    world.execute(RevokeEnrollmentToken { token: revoked.id }).unwrap();
    world.advance(Duration::from_secs(60));
    let forged = ShownToken { id: named.id, digest: CredentialDigest([9; 32]) };
    let unknown = ShownToken { id: world.ids.next(), ..named };
    for (shown, why) in [
        (short, TokenRefusal::Expired),
        (revoked, TokenRefusal::Revoked),
        (named, TokenRefusal::OtherName),
        (forged, TokenRefusal::Forgotten),
        (unknown, TokenRefusal::Forgotten),
    ] {
        let answer = join(&mut world, "b", shown, "k");
        assert_refused(&world, "b", shown, answer, why);
    }
    assert!(join(&mut world, "a", named, "k").is_ok());
}

/// A token that leaked gives nobody a name that a node has, with or without a key of its own.
#[test]
fn node_takeover_with_a_leaked_token() {
    let mut world = World::new();
    let shown = made(&mut world, |token| token.uses = 9);
    let bound = join(&mut world, "bound", shown, "k").unwrap();
    let keyless = register(&mut world, "keyless", Proven::by(Attestation::StaticToken)).unwrap();
    for (name, node) in [("bound", bound), ("keyless", keyless)] {
        let answer = register(&mut world, name, with(shown, key("of the thief"), 1));
        assert_refused(&world, name, shown, answer, TokenRefusal::NameTaken);
        assert_eq!(world.cluster.node(node.id), Some(&node), "as it was");
    }
    let stale = register(&mut world, "bound", with(shown, key("of the thief"), 0)).unwrap_err();
    assert_eq!(stale, Rejection::Unauthorized(Unauthorized::Unknown));
    assert_eq!(row(&world, shown).left(), 8);
}

#[test]
fn two_nodes_of_one_name() {
    let mut world = World::new();
    let (one, other) = (made(&mut world, |_| ()), made(&mut world, |_| ()));
    let [first, second] =
        [one, other].map(|shown| registration(&mut world, "a", with(shown, key(&shown.id.to_string()), 0)));
    assert!(world.execute(first).is_ok());
    let answer = world.execute(second).map(|registered| registered.node);
    assert_refused(&world, "a", other, answer, TokenRefusal::NameTaken);
    assert_eq!(
        row(&world, other).state(world.now),
        TokenState::Live,
        "it can still be used, for another name"
    );
}

#[test]
fn a_token_made_for_a_keyless_node_binds_that_one_to_a_key() {
    let mut world = World::new();
    let before = register(&mut world, "a", Proven::by(Attestation::StaticToken)).unwrap();
    let shown = made(&mut world, |token| token.node_name = Some("a".parse().unwrap()));
    let keyless = register(&mut world, "a", Proven::by(Attestation::OneTimeToken(shown)));
    assert!(
        matches!(keyless, Err(Rejection::Forbidden(_))),
        "it could not repeat what got lost: {keyless:?}"
    );
    let bound = register(&mut world, "a", with(shown, key("k"), 1)).unwrap();
    assert_eq!((bound.id, bound.key.clone()), (before.id, Some(key("k"))));
    assert_eq!(bound.enrollment.method, EnrollmentMethod::OneTimeToken(shown.id));
    let mut again = creation(&mut world);
    again.node_name = Some("a".parse().unwrap());
    assert!(matches!(world.execute(again), Err(Rejection::Conflict(_))), "by now it has a key");
}

#[test]
fn pinned_labels_are_the_tokens_and_not_the_nodes_to_change() {
    let mut world = World::new();
    let shown = made(&mut world, |token| drop(token.labels.insert("zone".to_owned(), "a".to_owned())));
    let node = join(&mut world, "a", shown, "k").unwrap();
    assert_eq!((node.labels["zone"].as_str(), node.labels["rack"].as_str()), ("a", "7"));
    let again = register(&mut world, "a", with(shown, key("k"), 1)).unwrap();
    assert_eq!(again.labels["zone"], "a");
    for said in [[("zone".to_owned(), "b".to_owned())].into(), BTreeMap::new()] {
        let heartbeat = Heartbeat { labels: Some(said), ..Heartbeat::default() };
        let generation = world.cluster.credential(node.id).unwrap().newest_generation() + 1;
        let command = HeartbeatNode { heartbeat, next: issued(generation, world.now) };
        let told = world.execute_as(&world.principal_of(node.id), &Scope::Node(node.id), command).unwrap();
        assert_eq!((told.labels["zone"].as_str(), told.labels.get("rack")), ("a", None));
    }
}

#[test]
fn each_way_in_which_a_token_is_refused_is_told_once() {
    let mut world = World::new();
    let shown = made(&mut world, |_| ());
    join(&mut world, "a", shown, "k").unwrap();
    let note = |name: &str| NoteRefusedToken { shown, name: name.parse().unwrap(), has_key: true };
    world.execute(note("b")).unwrap();
    let event = world.events.last().unwrap();
    assert_eq!((event.kind, event.severity), (EventKind::EnrollmentTokenRefused, Severity::Error));
    assert_eq!(event.details["reason"], "it is spent");
    let audit = world.audit.last().unwrap();
    assert_eq!((audit.action.as_str(), audit.outcome), ("enrollment.token.refuse", Outcome::Failure));
    let revision = world.cluster.revision();
    for name in ["b", "c", "d"] {
        world.execute(note(name)).unwrap();
    }
    assert_eq!(world.cluster.revision(), revision, "nobody fills the store with it");
    world.execute(RevokeEnrollmentToken { token: shown.id }).unwrap();
    world.execute(note("b")).unwrap();
    assert_eq!(world.count(EventKind::EnrollmentTokenRefused), 2, "another reason is news");
    let unknown = ShownToken { id: world.ids.next(), ..shown };
    let revision = world.cluster.revision();
    let stranger = NoteRefusedToken { shown: unknown, ..note("b") };
    world.execute(stranger).unwrap();
    assert_eq!(world.cluster.revision(), revision);
}

#[test]
fn a_token_that_ended_is_kept_for_a_while_and_then_pruned() {
    let mut world = World::new();
    let (spent, expired, live) = (
        made(&mut world, |_| ()),
        made(&mut world, |_| ()),
        made(&mut world, |token| token.life = LONGEST_LIFE),
    );
    join(&mut world, "a", spent, "k").unwrap();
    let prune = |world: &mut World| world.execute(PruneState { limit: 9 }).unwrap();
    world.advance(KEPT_AFTER_END - Duration::from_micros(1));
    assert_eq!(prune(&mut world), 0);
    world.advance(Duration::from_micros(1));
    assert_eq!(prune(&mut world), 1);
    assert!(world.cluster.enrollment_token(spent.id).is_none());
    world.advance(HOUR);
    assert_eq!(prune(&mut world), 1);
    assert!(world.cluster.enrollment_token(expired.id).is_none());
    assert!(world.cluster.enrollment_token(live.id).is_some());
    let node = world.cluster.nodes().next().unwrap();
    assert_eq!(node.enrollment.method, EnrollmentMethod::OneTimeToken(spent.id), "that is still known");
}

#[test]
fn a_repetition_voids_the_first_token_and_makes_another() {
    let mut world = World::new();
    let first = made(&mut world, |_| ());
    let command = creation(&mut world);
    let second = command.id;
    let decision =
        world.with_ctx(|cluster, ctx| command.repeat(cluster, &first.id.to_string(), ctx)).unwrap();
    assert_eq!((decision.output.id, decision.object.as_deref()), (second, Some(&*second.to_string())));
    world.apply(decision.transaction);
    assert_eq!(row(&world, first).state(world.now), TokenState::Revoked);
    assert_eq!(world.cluster.enrollment_token(second).unwrap().state(world.now), TokenState::Live);
}

fn approve(world: &mut World, node: &Node, name: &str) -> Result<Arc<Node>, Rejection> {
    let fingerprint = KeyFingerprint::of(&key(name));
    world.execute(ApproveNodeKey { node: node.id, fingerprint, within: HOUR })
}

#[test]
fn an_approved_key_is_let_in_once_in_time_and_then_is_the_nodes() {
    let mut world = World::new();
    let shown = made(&mut world, |_| ());
    let node = join(&mut world, "a", shown, "old").unwrap();
    let by = |name: &str, incarnation| Proven::default().with_key(key(name), incarnation);
    assert!(register(&mut world, "a", by("new", 1)).is_err());
    approve(&mut world, &node, "new").unwrap();
    assert_eq!(world.audit.last().unwrap().action, "node.key.approve");
    assert!(register(&mut world, "a", by("third", 1)).is_err(), "that one and no other");
    let same = register(&mut world, "a", by("old", 1)).unwrap();
    assert!(same.approved_key.is_some(), "the old key stays good until the new one comes");
    let new = register(&mut world, "a", by("new", 2)).unwrap();
    assert_eq!((new.id, new.key.clone(), new.approved_key.clone()), (node.id, Some(key("new")), None));
    assert_eq!(
        (&new.enrollment.method, new.enrollment.by.as_deref()),
        (&EnrollmentMethod::ApprovedKey, Some("test"))
    );
    assert_eq!(world.count(EventKind::NodeKeyReplaced), 1);
    assert!(register(&mut world, "a", by("old", 3)).is_err(), "and then it is good no more");

    approve(&mut world, &node, "late").unwrap();
    world.advance(HOUR);
    assert!(register(&mut world, "a", by("late", 3)).is_err());
    assert!(matches!(approve(&mut world, &node, "new"), Err(Rejection::WrongState(_))), "it has that one");
}

/// M6: revoked is never again with this key, whatever the name; reset is again, by the key.
#[test]
fn revoke_is_for_good_and_reset_is_to_come_again() {
    let mut world = World::new();
    let shown = made(&mut world, |token| token.uses = 9);
    let node = join(&mut world, "a", shown, "k").unwrap();
    world.execute(ResetNode { node: node.id }).unwrap();
    let back = register(&mut world, "a", Proven::default().with_key(key("k"), 2)).unwrap();
    assert_eq!(back.id, node.id);
    world.execute(RevokeNode { node: node.id }).unwrap();
    let revoked = Rejection::Unauthorized(Unauthorized::NodeRevoked);
    assert_eq!(register(&mut world, "a", Proven::default().with_key(key("k"), 3)).unwrap_err(), revoked);
    assert_eq!(join(&mut world, "b", shown, "k").unwrap_err(), revoked, "nor under another name");
    assert_eq!(row(&world, shown).left(), 8, "which spends nothing");
    assert!(matches!(approve(&mut world, &node, "new"), Err(Rejection::WrongState(_))));
    assert!(join(&mut world, "b", shown, "k2").is_ok());
    world.execute(RemoveNode { node: node.id, confirmed_dead: true }).unwrap();
}

/// M1: what let it in is long forgotten, its credential long dead, and it comes back by itself.
#[test]
fn a_node_that_was_switched_off_for_a_quarter_comes_back_by_its_key() {
    let mut world = World::new();
    let shown = made(&mut world, |_| ());
    let node = join(&mut world, "a", shown, "k").unwrap();
    world.execute(crate::command::NodeFellSilent::alone(node.id, Incarnation(1))).unwrap();
    world.advance(Duration::from_secs(90 * 24 * 3_600));
    world.execute(PruneState { limit: 9 }).unwrap();
    assert_eq!(world.cluster.enrollment_tokens().count(), 0);
    let back = register(&mut world, "a", with(shown, key("k"), 1)).unwrap();
    assert_eq!((back.id, back.status), (node.id, crate::node::NodeStatus::Ready));
}
