//! Why the control plane stops a task.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why the control plane wants a task gone. Kept with the task, so that a slot's history explains itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// Another version took its place.
    Outdated,
    /// Its node is drained.
    Drained,
    /// Its node is lost.
    NodeLost,
    /// It ran, but did not serve.
    Unhealthy,
    /// Fewer replicas are wanted, or its slot has a better one.
    Surplus,
    /// Its service is deleted.
    Deleted,
    /// A rebalance found a better node.
    Moved,
}

impl StopCause {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outdated => "outdated",
            Self::Drained => "drained",
            Self::NodeLost => "node_lost",
            Self::Unhealthy => "unhealthy",
            Self::Surplus => "surplus",
            Self::Deleted => "deleted",
            Self::Moved => "moved",
        }
    }
}

impl fmt::Display for StopCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outdated => "a newer task takes its place",
            Self::Drained => "its node is drained",
            Self::NodeLost => "its node is lost",
            Self::Unhealthy => "it does not serve",
            Self::Surplus => "it is one too many",
            Self::Deleted => "its service is deleted",
            Self::Moved => "another node is better for it",
        })
    }
}
