//! Where a node is in its life, and the moves between.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A node's status. Cordoned is a flag beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Heartbeats come; tasks may be placed.
    Ready,
    /// Being emptied: no new tasks, and each task leaves once its replacement serves.
    Draining,
    /// No heartbeat. What runs there is unknown.
    Offline {
        /// Since when.
        since: Timestamp,
        /// Said goodbye, or fell silent.
        cause: OfflineCause,
        /// Whether it was draining, and is again when it returns.
        draining: bool,
    },
    /// Never again with this identity.
    Revoked,
}

/// Why a node is offline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineCause {
    /// Its agent said that it stops: tasks are replaced only after a grace.
    Shutdown,
    /// Heartbeats stopped: tasks are replaced at once.
    Silent,
    /// Heartbeats stopped, and those of too many other nodes at the same time: likelier the way to them than so many
    /// machines. Nothing is replaced until enough of them are heard again, or someone says that they are lost (M41).
    SilentWithMany {
        /// Once enough of the others are heard again: what is silent still is replaced then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replace_at: Option<Timestamp>,
    },
    /// A person said not to wait for it.
    GivenUp,
}

/// A move that a node's status does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a node that is {from} cannot be {wanted}")]
pub struct WrongNodeStatus {
    /// What it is.
    pub from: &'static str,
    /// What was asked for.
    pub wanted: &'static str,
}

impl NodeStatus {
    /// The word of the contract: `ready`, `draining`, `offline` or `revoked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Offline { .. } => "offline",
            Self::Revoked => "revoked",
        }
    }

    /// Begins to empty the node. Idempotent. Draining an offline node is allowed: there is nothing to wait for.
    ///
    /// # Errors
    /// The node is revoked.
    pub const fn drain(self) -> Result<Self, WrongNodeStatus> {
        match self {
            Self::Ready | Self::Draining => Ok(Self::Draining),
            Self::Offline { since, cause, .. } => Ok(Self::Offline { since, cause, draining: true }),
            Self::Revoked => Err(WrongNodeStatus { from: "revoked", wanted: "draining" }),
        }
    }

    /// Ends a drain. Idempotent.
    ///
    /// # Errors
    /// The node is revoked.
    pub const fn uncordon(self) -> Result<Self, WrongNodeStatus> {
        match self {
            Self::Ready | Self::Draining => Ok(Self::Ready),
            Self::Offline { since, cause, .. } => Ok(Self::Offline { since, cause, draining: false }),
            Self::Revoked => Err(WrongNodeStatus { from: "revoked", wanted: "ready" }),
        }
    }

    /// A heartbeat or registration came.
    ///
    /// # Errors
    /// The node is revoked.
    pub const fn seen(self) -> Result<Self, WrongNodeStatus> {
        match self {
            Self::Ready | Self::Draining => Ok(self),
            Self::Offline { draining: true, .. } => Ok(Self::Draining),
            Self::Offline { draining: false, .. } => Ok(Self::Ready),
            Self::Revoked => Err(WrongNodeStatus { from: "revoked", wanted: "ready" }),
        }
    }

    /// Heartbeats stopped, or the agent said goodbye. Silence after a goodbye changes nothing.
    #[must_use]
    pub const fn gone(self, now: Timestamp, cause: OfflineCause) -> Self {
        match self {
            Self::Ready => Self::Offline { since: now, cause, draining: false },
            Self::Draining => Self::Offline { since: now, cause, draining: true },
            Self::Offline { .. } | Self::Revoked => self,
        }
    }

    /// Offline for another cause than before; what is not offline stays as it is.
    #[must_use]
    pub const fn offline_for(self, cause: OfflineCause) -> Self {
        match self {
            Self::Offline { since, draining, .. } => Self::Offline { since, cause, draining },
            other => other,
        }
    }

    /// Since when nothing is known of what runs there, if that is so: it is silent, and said no goodbye.
    #[must_use]
    pub const fn unknown_since(self) -> Option<Timestamp> {
        match self {
            Self::Offline { cause: OfflineCause::Shutdown, .. } => None,
            Self::Offline { since, .. } => Some(since),
            Self::Ready | Self::Draining | Self::Revoked => None,
        }
    }

    /// Whether it fell silent within so long, and counts as any silent node does.
    #[must_use]
    pub fn fell_silent_within(self, window: Duration, now: Timestamp) -> bool {
        match self {
            Self::Offline { since, cause: OfflineCause::Silent, .. } => now.since(since) <= window,
            _ => false,
        }
    }

    /// Whether its tasks are not replaced since too many nodes fell silent at once.
    #[must_use]
    pub fn is_held(self, now: Timestamp) -> bool {
        match self {
            Self::Offline { cause: OfflineCause::SilentWithMany { replace_at }, .. } => {
                replace_at.is_none_or(|at| now < at)
            }
            _ => false,
        }
    }

    /// Whether it is being emptied, reachable or not.
    #[must_use]
    pub const fn is_draining(self) -> bool {
        matches!(self, Self::Draining | Self::Offline { draining: true, .. })
    }
}
