//! When a container that exited is started again, and how long to wait first.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When the agent starts another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// After any exit.
    #[default]
    Always,
    /// After an exit other than 0.
    OnFailure,
    /// Never.
    Never,
}

/// The restart policy of a task, carried out by the agent, with or without a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// After which exits.
    pub condition: RestartCondition,
    /// Attempts in a row (first start included) before the agent gives up; `None`: no limit.
    #[serde(default)]
    pub max_attempts: Option<u32>,
    /// The wait before attempt after attempt.
    #[serde(default)]
    pub backoff: Backoff,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { condition: RestartCondition::Always, max_attempts: None, backoff: Backoff::default() }
    }
}

/// Exponential back-off with full jitter: the first restart is immediate, the n-th waits between half and all of
/// `initial × 2^(n-2)`, at most `max`; an attempt that ran for `reset_after` starts the count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The wait before the second restart in a row.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
    /// Running this long forgives what was before.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(60),
            reset_after: Duration::from_secs(10),
        }
    }
}

impl Backoff {
    /// The wait before restart number `failures` in a row (from 1). `random` picks the point within the jitter.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        if failures <= 1 {
            return Duration::ZERO;
        }
        let factor = 2u32.saturating_pow((failures - 2).min(20));
        let full = self.initial.saturating_mul(factor).min(self.max);
        let half = full / 2;
        let span = u64::try_from((full - half).as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(random % (span + 1))
    }

    /// The same, and no less than the other side `asked` for: that is drawn out by up to a quarter, since everyone who was told the
    /// same would come back at the same moment (M50).
    #[must_use]
    pub fn delay_asked(&self, failures: u32, asked: Duration, random: u64) -> Duration {
        let span = u64::try_from((asked / 4).as_micros()).unwrap_or(u64::MAX);
        let drawn_out = asked + Duration::from_micros(random % span.saturating_add(1));
        self.delay(failures, random).max(drawn_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M50: without the drawing out all of them would be 30 s.
    #[test]
    fn those_who_were_told_to_wait_equally_long_do_not_come_back_together_nor_early() {
        let asked = Duration::from_secs(30);
        let waits: std::collections::BTreeSet<_> = (0..64_u64)
            .map(|id| Backoff::default().delay_asked(2, asked, id.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        assert!(waits.iter().all(|wait| *wait >= asked && *wait <= asked * 5 / 4), "{waits:?}");
        assert!(waits.len() > 60, "{waits:?}");
        let apart = *waits.last().unwrap() - *waits.first().unwrap();
        assert!(apart > Duration::from_secs(5), "{apart:?}");
        assert_eq!(Backoff::default().delay_asked(1, Duration::ZERO, 7), Duration::ZERO);
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_wait_doubles_to_its_cap() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(1, 99), Duration::ZERO);
        for (failures, full) in [(2, 1), (3, 2), (4, 4), (8, 60), (4_000_000_000, 60)] {
            for random in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
                let delay = backoff.delay(failures, random);
                let full = Duration::from_secs(full);
                assert!(delay >= full / 2 && delay <= full, "{failures}: {delay:?}");
            }
        }
    }
}
