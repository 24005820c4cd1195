//! How far a deployment is, and the moves between.

use serde::{Deserialize, Serialize};

/// A deployment's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentStatus {
    /// Asked for; no task made yet.
    Pending,
    /// Under way.
    Running,
    /// No further replacements until a person says so; replica count, restarts and drains go on.
    Paused,
    /// Under way, back to an earlier version.
    RollingBack,
    /// Every replica runs the new version and is healthy.
    Succeeded,
    /// Every replica runs the earlier version again and is healthy.
    RolledBack,
    /// It did not come to its goal.
    Failed,
    /// A newer deployment took its place.
    Superseded,
    /// A person broke it off, or the service was deleted meanwhile.
    Cancelled,
}

impl DeploymentStatus {
    /// Whether it is at its end.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Paused | Self::RollingBack => false,
            Self::Succeeded | Self::RolledBack | Self::Failed | Self::Superseded | Self::Cancelled => true,
        }
    }

    /// Whether the move is allowed. The same status again is not a move.
    #[must_use]
    pub const fn may_become(self, to: Self) -> bool {
        use DeploymentStatus as S;
        match self {
            S::Pending => matches!(
                to,
                S::Running
                    | S::Paused
                    | S::RollingBack
                    | S::Succeeded
                    | S::Failed
                    | S::Superseded
                    | S::Cancelled
            ),
            S::Running => matches!(to, S::Paused | S::Succeeded | S::Failed | S::Superseded | S::Cancelled),
            S::Paused => matches!(to, S::Running | S::RollingBack | S::Failed | S::Superseded | S::Cancelled),
            S::RollingBack => {
                matches!(to, S::Paused | S::RolledBack | S::Failed | S::Superseded | S::Cancelled)
            }
            S::Succeeded | S::RolledBack | S::Failed | S::Superseded | S::Cancelled => false,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::RollingBack => "rolling_back",
            Self::Succeeded => "succeeded",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }
}
