//! Why a command was not carried out.

use std::fmt;
use std::time::Duration;

use crate::BoxError;
use crate::cluster::Revision;
use crate::identity::Denied;

/// Where in a request something is wrong: `spec.ports[1].container_port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(String);

impl FieldPath {
    /// The field of that name at the top.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// A field within.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// An entry of a list within, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One rule that a spec breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub field: FieldPath,
    /// Which rule, as the contract names it: `security.privileged.denied`.
    pub rule: &'static str,
    /// A sentence for people.
    pub message: String,
}

/// The caller's mistake: nothing was written. `code()` is public contract, the text is for people, the fields are for both.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such object, in this namespace.
    #[error("{kind} `{id}` does not exist")]
    NotFound {
        /// `node`, `service`, `task`, `rollout`, `namespace`, …
        kind: &'static str,
        /// As the caller named it.
        id: String,
    },
    /// A field of the request is wrong.
    #[error("{field}: {problem}; expected {expected}")]
    Invalid {
        /// Where.
        field: FieldPath,
        /// What is wrong.
        problem: String,
        /// What would be right.
        expected: String,
    },
    /// The object is in a state that does not allow this.
    #[error("{0}")]
    WrongState(String),
    /// Something else holds the name, is in progress, or uses the object.
    #[error("{0}")]
    Conflict(String),
    /// The object changed since the caller read it.
    #[error("{kind} `{id}` is at revision {actual}, not {expected}")]
    RevisionMoved {
        /// What kind of object.
        kind: &'static str,
        /// Which.
        id: String,
        /// What the caller expected.
        expected: Revision,
        /// What it is.
        actual: Revision,
    },
    /// The server's policy refuses the spec. All that it refuses is listed.
    #[error("the cluster's policy refuses this: {}", .violations.iter().map(|v| v.message.as_str()).collect::<Vec<_>>().join("; "))]
    Admission {
        /// `create`, `update`, `rollout` or `scale`.
        operation: &'static str,
        /// In which namespace.
        namespace: crate::name::Namespace,
        /// Every rule that is broken.
        violations: Vec<Violation>,
    },
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// The request was carried out before, and what it made is gone.
    #[error("this request was carried out before; what it made is gone")]
    AlreadyDone,
    /// The principal no longer stands: the node was revoked or reset, or its registration replaced; the user was disabled, or
    /// his token taken back.
    #[error("{0}")]
    Unauthorized(Unauthorized),
    /// The permit does not reach the target.
    #[error("{0}")]
    Forbidden(String),
}

/// Why a node or user is not taken for who it says it is. To strangers all of these are one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthorized {
    /// Not a credential that is or was good, or no proof of the key, or no token.
    #[error("not authorized")]
    Unknown,
    /// The credential's time is over.
    #[error("the credential has expired")]
    CredentialExpired,
    /// A newer credential was used already.
    #[error("the credential was superseded")]
    CredentialSuperseded,
    /// The registration was replaced or reset.
    #[error("the node must register again")]
    NodeReset,
    /// The identity is revoked for good.
    #[error("the node is revoked")]
    NodeRevoked,
    /// Another agent heartbeats as this node.
    #[error("another agent is active as this node")]
    NodeActive,
    /// The user may not come in.
    #[error("the user is disabled")]
    UserDisabled,
    /// What the user showed was taken back.
    #[error("the token was revoked")]
    TokenRevoked,
}

impl Rejection {
    /// A field is wrong.
    pub fn invalid(field: FieldPath, problem: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid { field, problem: problem.into(), expected: expected.into() }
    }

    /// No such object.
    pub fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// The code of the contract.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Invalid { .. } | Self::WrongState(_) | Self::Admission { .. } => "invalid_argument",
            Self::Conflict(_) | Self::RevisionMoved { .. } | Self::KeyReused | Self::AlreadyDone => {
                "conflict"
            }
            Self::Unauthorized(reason) => match reason {
                Unauthorized::Unknown | Unauthorized::UserDisabled | Unauthorized::TokenRevoked => {
                    "unauthorized"
                }
                Unauthorized::CredentialExpired => "credential_expired",
                Unauthorized::CredentialSuperseded => "credential_superseded",
                Unauthorized::NodeReset => "node_reset",
                Unauthorized::NodeRevoked => "node_revoked",
                Unauthorized::NodeActive => "node_active",
            },
            Self::Forbidden(_) => "forbidden",
        }
    }
}

impl From<Denied> for Rejection {
    fn from(denied: Denied) -> Self {
        Self::Forbidden(denied.reason)
    }
}

/// Sorted by what the caller does next: mend the request, repeat it, look before repeating it, tell us.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Mend the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Nothing was written: repeat it.
    #[error("not written; try again in {retry_after:?}")]
    Unavailable {
        /// When.
        retry_after: Duration,
        /// Why, in words that callers may be told.
        #[source]
        cause: BoxError,
    },
    /// Look before repeating it.
    #[error("it is not known whether this was written")]
    Uncertain(#[source] BoxError),
}
