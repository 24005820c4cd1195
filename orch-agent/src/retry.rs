//! [`Retry`]: the one back-off of all of the agent's loops, which says each streak of failures once.

use std::time::Duration;

use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::service::Backoff;

/// 250 ms doubling to 5 s, plus up to as much jitter.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(10),
    reset_after: Duration::from_secs(10),
};

/// Failures in a row of one thing.
#[derive(Debug)]
pub(crate) struct Retry {
    what: &'static str,
    failures: u32,
}

impl Retry {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, failures: 0 }
    }

    /// It failed: how long to wait. Logged at the first failure of a streak, and with its count when it ends.
    pub(crate) fn failed(
        &mut self,
        env: &SharedEnv,
        error: &(dyn std::error::Error + 'static),
        asked: Option<Duration>,
    ) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(error = %chain(error), "{} failed; trying again", self.what);
        } else {
            tracing::debug!(error = %chain(error), failures = self.failures, "{} failed again", self.what);
        }
        BACKOFF.delay(self.failures + 1, env.random_u64()).max(asked.unwrap_or_default())
    }

    /// It worked.
    pub(crate) fn worked(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "{} works again", self.what);
        }
        self.failures = 0;
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
