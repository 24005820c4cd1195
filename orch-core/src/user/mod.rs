//! Users that the cluster keeps, and the API tokens of service accounts.
//!
//! A user's own tokens (JWT, OpenID Connect) are made elsewhere. What stands here is weighed against them at every request:
//! whether he may come in at all, since when what was issued to him counts, and which role counts instead of the token's.

mod token;

pub use token::{ApiToken, LAST_USE_GRAIN, LONGEST_LIFE, MOST_TOKENS, SHORTEST_LIFE};

use serde::{Deserialize, Serialize};

use crate::identity::Grants;
use crate::name::Subject;
use crate::time::Timestamp;

/// What the cluster knows of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who: the subject of his tokens.
    pub name: Subject,
    /// A person or a program.
    pub kind: UserKind,
    /// What he may; `None`: what his token says. A service account always has some.
    #[serde(default)]
    pub grants: Option<Grants>,
    /// Whether he may come in.
    pub status: UserStatus,
    /// What was issued to him before counts no more.
    #[serde(default)]
    pub accepted_from: Option<Timestamp>,
    /// When the cluster first heard of him.
    pub created_at: Timestamp,
    /// When this last changed.
    pub updated_at: Timestamp,
}

/// A person or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserKind {
    /// Comes with a token that is made elsewhere.
    Person,
    /// Comes with API tokens of this cluster.
    ServiceAccount,
}

impl UserKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Person, Self::ServiceAccount];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::ServiceAccount => "service_account",
        }
    }
}

/// Whether a user may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// He may.
    Active,
    /// He may not, whatever he shows.
    Disabled,
    /// He is a stranger again, whose old tokens count no more. Kept for that, and shown nowhere.
    Removed,
}

impl UserStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

impl User {
    /// One that the cluster hears of for the first time.
    #[must_use]
    pub const fn new(name: Subject, kind: UserKind, now: Timestamp) -> Self {
        let status = UserStatus::Active;
        Self { name, kind, grants: None, status, accepted_from: None, created_at: now, updated_at: now }
    }

    /// Whether what was issued to him then still counts. What does not say when it was issued does not count once anything was
    /// taken back.
    #[must_use]
    pub fn accepts(&self, issued_at: Option<Timestamp>) -> bool {
        self.accepted_from.is_none_or(|from| issued_at.is_some_and(|at| at >= from))
    }
}
