//! How a rollout proceeds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The pace and the limits of a rollout. Drains spend the same budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutPolicy {
    /// How many replicas may be missing because of us.
    pub max_unavailable: u32,
    /// How many tasks there may be above the replica count.
    pub max_surge: u32,
    /// How long a task without a health check must run to count as healthy.
    pub min_healthy: Duration,
    /// How long the whole may take.
    pub deadline: Duration,
    /// What a failure does.
    pub on_failure: OnFailure,
}

/// What happens when a rollout fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Go back to the version before, keeping its tasks that still run.
    #[default]
    Rollback,
    /// Stay as it is and wait for a person.
    Pause,
}

impl Default for RolloutPolicy {
    fn default() -> Self {
        Self {
            max_unavailable: 0,
            max_surge: 1,
            min_healthy: Duration::from_secs(5),
            deadline: Duration::from_secs(600),
            on_failure: OnFailure::Rollback,
        }
    }
}
