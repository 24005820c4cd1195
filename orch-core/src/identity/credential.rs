//! A node's credential: current and next, and the pure rules of its rotation.
//!
//! The server keeps `current` and `next`. Both are good until `next` is first used; that use makes it current and kills
//! the old one. So no lost, repeated or late message can lock an honest agent out while it is within its TTL.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::Recognised;
use crate::id::NodeId;
use crate::node::Incarnation;
use crate::time::Timestamp;

/// How long a credential lives: 15 minutes, unless configured otherwise.
pub const DEFAULT_TTL: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// How long a superseded credential is still taken in a registration that never sent a sequence number: 30 seconds.
pub const KEYLESS_GRACE: std::time::Duration = std::time::Duration::from_secs(30);

/// A keyed hash of a credential: all that is ever stored of one.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialDigest(pub [u8; 32]);

impl PartialEq for CredentialDigest {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for CredentialDigest {}

impl fmt::Debug for CredentialDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialDigest(…)")
    }
}

/// What a credential is bound to besides its node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialBinding {
    /// Nothing: the token alone.
    #[default]
    Token,
    /// The certificate with this SHA-256 thumbprint, as in RFC 8705.
    Certificate([u8; 32]),
}

/// One issued credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its keyed hash.
    pub digest: CredentialDigest,
    /// Its number.
    pub generation: u64,
    /// By the server's clock.
    pub expires_at: Timestamp,
}

/// The credential row of a node. Overwritten at every heartbeat; stands in a table of its own for that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCredential {
    /// Whose.
    pub node: NodeId,
    /// Of which registration.
    pub incarnation: Incarnation,
    /// Good.
    pub current: Issued,
    /// Good as well; its first use ends `current`.
    #[serde(default)]
    pub next: Option<Issued>,
    /// The one before `current`, and when it was superseded: for agents without sequence numbers.
    #[serde(default)]
    pub superseded: Option<(Issued, Timestamp)>,
    /// The highest sequence number of a heartbeat that was answered with a credential, or of a request that promoted one:
    /// what an honest agent sent with a dead credential has a lower one.
    #[serde(default)]
    pub highest_sequence: u64,
}

/// What a shown credential is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is current.
    Current,
    /// It is next: its use must be committed before the request is carried out.
    Promote,
    /// It was superseded a moment ago, and the agent sends no sequence numbers.
    Grace,
    /// Its time is over: the agent registers again.
    Expired,
    /// It is dead, and the request is an old one that comes late: refused and counted, no alarm.
    Late,
    /// It is dead, and someone uses it anew: alarm, and the registration is reset.
    Reused,
    /// It belongs to an earlier registration.
    OldIncarnation,
    /// It was never given out.
    Unknown,
}

impl NodeCredential {
    /// What a credential is worth that was recognised as one of this node's.
    ///
    /// `highest_sequence` is the highest number seen of this registration, in memory or in the store.
    #[must_use]
    pub fn judge(
        &self,
        shown: &Recognised,
        sequence: Option<u64>,
        highest_sequence: u64,
        now: Timestamp,
    ) -> Verdict {
        if shown.incarnation < self.incarnation {
            return Verdict::OldIncarnation;
        }
        let is = |issued: &Issued| issued.generation == shown.generation && issued.digest == shown.digest;
        let alive =
            |issued: &Issued, verdict| if now < issued.expires_at { verdict } else { Verdict::Expired };
        if shown.incarnation > self.incarnation {
            Verdict::Unknown
        } else if is(&self.current) {
            alive(&self.current, Verdict::Current)
        } else if let Some(next) = self.next.as_ref().filter(|next| is(next)) {
            alive(next, Verdict::Promote)
        } else if shown.generation < self.newest_generation() {
            let highest = highest_sequence.max(self.highest_sequence);
            match (sequence, &self.superseded) {
                // An agent that numbers its requests numbers all of them: whoever leaves the number out is not it.
                (None, Some((old, at))) if highest == 0 && is(old) && now.since(*at) < KEYLESS_GRACE => {
                    alive(old, Verdict::Grace)
                }
                (None, _) => Verdict::Late,
                (Some(sequence), _) if sequence <= highest => Verdict::Late,
                (Some(_), _) => Verdict::Reused,
            }
        } else {
            Verdict::Unknown
        }
    }

    /// The number of the newest credential given out.
    #[must_use]
    pub fn newest_generation(&self) -> u64 {
        self.next.map_or(self.current.generation, |next| next.generation)
    }

    /// Whether the agent may hold `next` from the answer to this heartbeat, or to a later one. A message that the network
    /// repeats must not be answered with another `next`: that would kill the one that the agent got from the first answer,
    /// and its honest use would look like theft. While there is no `next`, a new one takes nothing away.
    #[must_use]
    pub fn is_repeated_heartbeat(&self, sequence: Option<u64>) -> bool {
        self.next.is_some() && sequence.is_some_and(|sequence| sequence <= self.highest_sequence)
    }

    /// `next` was used: it becomes current, and what was current is dead.
    #[must_use]
    pub fn promoted(mut self, now: Timestamp) -> Self {
        if let Some(next) = self.next.take() {
            self.superseded = Some((self.current, now));
            self.current = next;
        }
        self
    }

    /// A new `next` takes the place of one that was never used.
    #[must_use]
    pub fn with_next(mut self, next: Issued, sequence: Option<u64>) -> Self {
        self.next = Some(next);
        self.highest_sequence = self.highest_sequence.max(sequence.unwrap_or(0));
        self
    }
}
