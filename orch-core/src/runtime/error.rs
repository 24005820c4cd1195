//! Why a runtime did not do what it was asked, sorted by what the agent does next.

use std::time::Duration;

use crate::BoxError;
use crate::task::FailureKind;

/// Sorted by what the agent does next.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The runtime cannot be reached: nothing is known about any container; try again once it can.
    #[error("the container runtime cannot be reached")]
    Unreachable(#[source] BoxError),
    /// This call was not answered in time. Whether it took effect is not known, and it says nothing of other containers.
    #[error("the container runtime did not answer within {} s", .within.as_secs())]
    NoAnswer {
        /// How long was waited.
        within: Duration,
    },
    /// It may work later: try again after a back-off.
    #[error("{message}")]
    Retry {
        /// The runtime's words.
        message: String,
        /// When the other side asked to wait.
        after: Option<Duration>,
    },
    /// It will not work, however often it is tried: the task fails with this.
    #[error("{message}")]
    Permanent {
        /// Of which kind.
        kind: FailureKind,
        /// The runtime's words, or ours.
        message: String,
    },
    /// The container is gone.
    #[error("no such container")]
    Gone,
}

impl RuntimeError {
    /// A permanent failure.
    pub fn permanent(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::Permanent { kind, message: message.into() }
    }
}
