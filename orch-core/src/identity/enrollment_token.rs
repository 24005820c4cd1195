//! [`EnrollmentToken`]: what the cluster keeps of a token that admits so many nodes, for so long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CredentialDigest, IssuedCredential, ServerPin, ShownToken};
use crate::id::{EnrollmentTokenId, NodeId};
use crate::name::NodeName;
use crate::time::Timestamp;

/// How long a token admits nodes unless it is said: an hour.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(3_600);
/// The longest that a token may be asked to live: 30 days.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The most nodes that a token may be asked to admit.
pub const MOST_USES: u32 = 1_000;
/// How long a token that ended is kept, so that its use can be told from a stranger's: 7 days.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A token that admits new nodes. The token itself is shown once, to whoever made it, and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollmentToken {
    /// Its id, which the token carries in plain text.
    pub id: EnrollmentTokenId,
    /// Its keyed hash.
    pub digest: CredentialDigest,
    /// The one name that it admits; `None`: any that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<NodeName>,
    /// Labels of the nodes that it admits, which these cannot change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many nodes it admits.
    pub uses: u32,
    /// Those that it admitted, first come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admitted: Vec<TokenAdmission>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub created_at: Timestamp,
    /// From when on it admits nobody.
    pub expires_at: Timestamp,
    /// When someone took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// In which ways its use was refused so far: each is an event once, however often it is tried.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<TokenRefusal>,
}

/// A node that a token admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAdmission {
    /// Which.
    pub node: NodeId,
    /// Its name then.
    pub name: NodeName,
    /// When.
    pub at: Timestamp,
}

/// Where a token is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It admits nodes.
    Live,
    /// It admitted as many as it may.
    Spent,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

impl TokenState {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// Why a token that the cluster once made does not admit a node. The node is told none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenRefusal {
    /// It is no longer kept.
    Forgotten,
    /// It admitted as many nodes as it may.
    Spent,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
    /// It is for another name.
    OtherName,
    /// A node has the name, and the token does not say that it is for that one.
    NameTaken,
    /// The agent has no node key, by which it could repeat what got lost.
    NoKey,
}

impl TokenRefusal {
    /// In a few words, for those who may know.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forgotten => "it is no longer kept",
            Self::Spent => "it is spent",
            Self::Expired => "it has expired",
            Self::Revoked => "it is revoked",
            Self::OtherName => "it is for another name",
            Self::NameTaken => "another node has the name",
            Self::NoKey => "the agent has no node key",
        }
    }
}

impl EnrollmentToken {
    /// Where it is in its life.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.left() == 0 {
            TokenState::Spent
        } else if now >= self.expires_at {
            TokenState::Expired
        } else {
            TokenState::Live
        }
    }

    /// How many nodes it may still admit, if its time is not over.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.uses.saturating_sub(u32::try_from(self.admitted.len()).unwrap_or(u32::MAX))
    }

    /// When it ended, or will at the latest.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        let spent = self.admitted.last().filter(|_| self.left() == 0).map(|last| last.at);
        [self.revoked_at, spent].into_iter().flatten().fold(self.expires_at, Timestamp::min)
    }

    /// Whether nobody needs to know it any more.
    #[must_use]
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.state(now) != TokenState::Live && now.since(self.ends_at()) >= KEPT_AFTER_END
    }

    /// Why what was shown does not admit a new node of that name, by the token's own row.
    #[must_use]
    pub fn refusal(&self, shown: &ShownToken, name: &NodeName, now: Timestamp) -> Option<TokenRefusal> {
        if self.digest != shown.digest {
            return Some(TokenRefusal::Forgotten);
        }
        match self.state(now) {
            TokenState::Revoked => Some(TokenRefusal::Revoked),
            TokenState::Spent => Some(TokenRefusal::Spent),
            TokenState::Expired => Some(TokenRefusal::Expired),
            TokenState::Live => {
                let other = self.node_name.as_ref().is_some_and(|pinned| pinned != name);
                other.then_some(TokenRefusal::OtherName)
            }
        }
    }

    /// The same, once it has admitted one more.
    #[must_use]
    pub fn spent_on(&self, node: NodeId, name: &NodeName, now: Timestamp) -> Self {
        let mut spent = self.clone();
        spent.admitted.push(TokenAdmission { node, name: name.clone(), at: now });
        spent
    }
}

/// Makes one-time tokens.
pub trait EnrollmentTokenIssuer: Send + Sync + 'static {
    /// A new token. `server` goes along, so that the agent knows its server by it. `entropy` is fresh and used for nothing else.
    fn issue_token(
        &self,
        id: EnrollmentTokenId,
        server: Option<&ServerPin>,
        entropy: [u8; 32],
    ) -> IssuedCredential;
}
