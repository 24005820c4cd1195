//! How a node came in, and with which other key it may come again.

use serde::{Deserialize, Serialize};

use crate::id::EnrollmentTokenId;
use crate::identity::{KeyFingerprint, NodePublicKey};
use crate::time::Timestamp;

/// What let a node in: last, where it was let in more than once. Coming back by the same key changes nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEnrollment {
    /// What spoke for it.
    pub method: EnrollmentMethod,
    /// Who made that: the token, or the approval of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was let in; `None`: that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What spoke for a node.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrollmentMethod {
    /// It came in before that was noted.
    #[default]
    Unknown,
    /// The static registration token.
    StaticToken,
    /// This one-time token.
    OneTimeToken(EnrollmentTokenId),
    /// An admin, who approved its key.
    ApprovedKey,
    /// An attestor of an embedder's, by its word.
    Other(String),
    /// Nothing: enrolment was open.
    Open,
}

impl EnrollmentMethod {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown => "unknown",
            Self::StaticToken => "static_token",
            Self::OneTimeToken(_) => "one_time_token",
            Self::ApprovedKey => "approved_key",
            Self::Other(word) => word,
            Self::Open => "open",
        }
    }
}

/// A key that an admin approved for a node: its next registration may be with it, and is bound to it from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedKey {
    /// Of the key.
    pub fingerprint: KeyFingerprint,
    /// Who approved it.
    pub by: String,
    /// For so long.
    pub until: Timestamp,
}

impl ApprovedKey {
    /// Whether it is this key, in time.
    #[must_use]
    pub fn is(&self, key: &NodePublicKey, now: Timestamp) -> bool {
        now < self.until && self.fingerprint == KeyFingerprint::of(key)
    }
}
