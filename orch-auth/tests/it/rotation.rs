//! Rotation: no loss, repetition or delay locks an honest agent out, and no dead credential gets anyone in (M5).

use std::time::Duration;

use orch_auth::key::ServerKey;
use orch_auth::token::TokenCredentials;
use orch_core::id::{IdStream, NodeId};
use orch_core::identity::{
    CredentialIssuer as _, CredentialValidator as _, Issued, NodeCredential, PresentedCredential, Recognised,
    Verdict,
};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use orch_core::time::Timestamp;
use proptest::prelude::*;

use super::{NOW, secret};

const TTL: Duration = Duration::from_secs(900);

/// The server's side: the row, and the highest number seen.
struct Server {
    backend: TokenCredentials,
    node: NodeId,
    row: NodeCredential,
    highest: u64,
    now: Timestamp,
    dead: Vec<u64>,
}

impl Server {
    fn new() -> (Self, Secret<String>) {
        let backend =
            TokenCredentials::new(ServerKey::derive(&secret("a server key for the tests")).unwrap());
        let node = IdStream::seeded(1).next();
        let issued = backend.issue(node, Incarnation(1), 1, [1; 32]);
        let current = Issued { digest: issued.digest, generation: 1, expires_at: NOW + TTL };
        let row = NodeCredential {
            node,
            incarnation: Incarnation(1),
            current,
            next: None,
            superseded: None,
            highest_sequence: 0,
        };
        (Self { backend, node, row, highest: 0, now: NOW, dead: vec![] }, issued.token)
    }

    fn judge(&mut self, token: &Secret<String>, sequence: Option<u64>) -> (Verdict, Recognised) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let shown =
            runtime.block_on(self.backend.recognise(&PresentedCredential::bearer(token.clone()))).unwrap();
        let verdict = self.row.judge(&shown, sequence, self.highest, self.now);
        if matches!(verdict, Verdict::Current | Verdict::Promote | Verdict::Grace) {
            assert!(
                !self.dead.contains(&shown.generation) || verdict == Verdict::Grace,
                "a dead credential was accepted"
            );
            self.highest = self.highest.max(sequence.unwrap_or(0));
        }
        if verdict == Verdict::Promote {
            self.dead.push(self.row.current.generation);
            self.row = self.row.clone().promoted(self.now);
        }
        (verdict, shown)
    }

    fn heartbeat(
        &mut self,
        token: &Secret<String>,
        sequence: impl Into<Option<u64>>,
    ) -> Result<Secret<String>, Verdict> {
        let sequence = sequence.into();
        let (verdict, _) = self.judge(token, sequence);
        if !matches!(verdict, Verdict::Current | Verdict::Promote) {
            return Err(verdict);
        }
        if self.row.is_repeated_heartbeat(sequence) {
            return Err(Verdict::Late);
        }
        let generation = self.row.newest_generation() + 1;
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&generation.to_be_bytes());
        let issued = self.backend.issue(self.node, Incarnation(1), generation, entropy);
        if let Some(unused) = self.row.next {
            self.dead.push(unused.generation);
        }
        let next = Issued { digest: issued.digest, generation, expires_at: self.now + TTL };
        self.row = self.row.clone().with_next(next, sequence);
        Ok(issued.token)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Heartbeat and answer arrive.
    Whole,
    /// The heartbeat arrives, its answer is lost.
    AnswerLost,
    /// The heartbeat is lost.
    Lost,
    /// The last heartbeat arrives a second time; its answer reaches nobody.
    Repeated,
    /// Another request (a poll, a report) with what the agent holds.
    Used,
}

proptest! {
    #[test]
    fn an_honest_agent_is_never_locked_out(
        steps in proptest::collection::vec(
            prop_oneof![Just(Step::Whole), Just(Step::AnswerLost), Just(Step::Lost), Just(Step::Repeated), Just(Step::Used)],
            1..60,
        )
    ) {
        let (mut server, mut held) = Server::new();
        let mut sequence = 0;
        let mut last: Option<(Secret<String>, u64)> = None;
        for step in steps {
            server.now = server.now + Duration::from_secs(5);
            match step {
                Step::Lost => sequence += 1,
                Step::Whole | Step::AnswerLost => {
                    sequence += 1;
                    last = Some((held.clone(), sequence));
                    let answer = server.heartbeat(&held, sequence);
                    prop_assert!(answer.is_ok(), "{step:?}: {answer:?}");
                    if let (Step::Whole, Ok(next)) = (step, answer) {
                        held = next;
                    }
                }
                Step::Repeated => {
                    if let Some((token, number)) = &last {
                        // Late is fine, and refused without alarm; an alarm would be a lock-out.
                        let answer = server.heartbeat(token, *number);
                        prop_assert!(!matches!(answer, Err(Verdict::Reused | Verdict::Unknown)), "{answer:?}");
                    }
                }
                Step::Used => {
                    sequence += 1;
                    let (verdict, _) = server.judge(&held, Some(sequence));
                    prop_assert!(matches!(verdict, Verdict::Current | Verdict::Promote), "{verdict:?}");
                }
            }
        }
    }
}

#[test]
fn the_first_use_of_the_next_kills_the_old_and_its_reuse_is_an_alarm() {
    let (mut server, first) = Server::new();
    let second = server.heartbeat(&first, 1).unwrap();
    assert_eq!(server.judge(&first, Some(2)).0, Verdict::Current, "both are good until the next is used");
    assert_eq!(server.judge(&second, Some(3)).0, Verdict::Promote);
    assert_eq!(server.judge(&first, Some(2)).0, Verdict::Late, "an old request that comes late");
    assert_eq!(server.judge(&first, Some(4)).0, Verdict::Reused, "a new request with a dead credential");
}

#[test]
fn without_sequence_numbers_the_old_one_has_thirty_seconds() {
    let (mut server, first) = Server::new();
    let second = server.heartbeat(&first, None::<u64>).unwrap();
    assert_eq!(server.judge(&second, None).0, Verdict::Promote);
    server.now = server.now + Duration::from_secs(29);
    assert_eq!(server.judge(&first, None).0, Verdict::Grace);
    server.now = server.now + Duration::from_secs(1);
    assert_eq!(server.judge(&first, None).0, Verdict::Late);
}

#[test]
fn whoever_leaves_the_number_out_where_the_agent_sends_one_has_no_grace() {
    let (mut server, first) = Server::new();
    let second = server.heartbeat(&first, 1).unwrap();
    assert_eq!(server.judge(&second, Some(2)).0, Verdict::Promote);
    assert_eq!(server.judge(&first, None).0, Verdict::Late, "a copy of a dead credential");
    server.highest = 0;
    assert_eq!(
        server.judge(&first, None).0,
        Verdict::Late,
        "a server that was started since knows it from the store"
    );
}

#[test]
fn expiry_is_exact_and_an_older_registration_is_told_so() {
    let (mut server, first) = Server::new();
    server.now = NOW + TTL - Duration::from_micros(1);
    assert_eq!(server.judge(&first, Some(1)).0, Verdict::Current);
    server.now = NOW + TTL;
    assert_eq!(server.judge(&first, Some(2)).0, Verdict::Expired);
    server.row.incarnation = Incarnation(2);
    assert_eq!(server.judge(&first, Some(3)).0, Verdict::OldIncarnation);
}
