//! [`OnDisconnect`]: what becomes of a task while its node and the control plane do not hear each other.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StopPolicy;

/// Less than this, and two lost heartbeats would stop a task.
pub const LEAST_STOP_AFTER: Duration = Duration::from_secs(10);
/// More than this is a mistake: 30 days.
pub const MOST_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);

/// What the control plane gives an agent beyond the time that stopping takes: clocks that run unevenly, an engine that is slow.
const MARGIN: Duration = Duration::from_secs(15);

/// What becomes of a task while its node is not heard (M38). It is part of the template: the agent must know what the control
/// plane counts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Another takes its place once its node is offline for so long; it runs on, for all that is known.
    ReplaceAfter(Duration),
    /// Its agent stops it after so long without an answer of the control plane, and starts it again with the next. Another
    /// takes its place once that must have happened.
    StopAfter(Duration),
    /// It is left alone, and nothing takes its place.
    Keep,
}

impl Default for OnDisconnect {
    fn default() -> Self {
        Self::ReplaceAfter(Duration::ZERO)
    }
}

impl OnDisconnect {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// After how long without contact the agent stops the task, if it does.
    #[must_use]
    pub const fn stop_after(self) -> Option<Duration> {
        match self {
            Self::StopAfter(after) => Some(after),
            Self::ReplaceAfter(_) | Self::Keep => None,
        }
    }

    /// How long the node must be offline before another task takes the place; `None`: it never does by itself. The agent's
    /// clock began to run earlier, with its last question that was answered.
    #[must_use]
    pub fn replaced_after(self, stop: &StopPolicy) -> Option<Duration> {
        match self {
            Self::ReplaceAfter(after) => Some(after),
            Self::StopAfter(after) => Some(after.saturating_add(stop.grace).saturating_add(MARGIN)),
            Self::Keep => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_by_itself_is_replaced_only_after_that() {
        let stop = StopPolicy { grace: Duration::from_secs(10), ..StopPolicy::default() };
        let after = Duration::from_secs(30);
        assert_eq!(OnDisconnect::default().replaced_after(&stop), Some(Duration::ZERO));
        assert_eq!(OnDisconnect::ReplaceAfter(after).replaced_after(&stop), Some(after));
        assert_eq!(OnDisconnect::StopAfter(after).replaced_after(&stop), Some(Duration::from_secs(55)));
        assert_eq!(OnDisconnect::Keep.replaced_after(&stop), None);
        assert_eq!(OnDisconnect::StopAfter(after).stop_after(), Some(after));
        assert_eq!(OnDisconnect::ReplaceAfter(after).stop_after(), None);
    }
}
