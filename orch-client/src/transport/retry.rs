//! When a call is tried again, and how long to wait before.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

/// How often a call is tried, and the waits between.
///
/// A round asks every server once. Between rounds the client waits: exponentially longer, with jitter, and at least as
/// long as a server asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Rounds in all; 1 means that no server is asked twice.
    pub rounds: u32,
    /// The wait after the first round, before jitter.
    pub initial: Duration,
    /// The longest wait. A server that asks for a longer one is not asked again.
    pub max: Duration,
}

impl Default for RetryPolicy {
    /// Four rounds, from 200 ms to 5 s.
    fn default() -> Self {
        Self { rounds: 4, initial: Duration::from_millis(200), max: Duration::from_secs(5) }
    }
}

impl RetryPolicy {
    /// Every server once and no waiting, for callers that have a back-off of their own.
    #[must_use]
    pub const fn one_round() -> Self {
        Self { rounds: 1, initial: Duration::ZERO, max: Duration::ZERO }
    }

    /// The wait after `round` (from 0): half of the exponential value, and as much again at random. `None`: the server asked for
    /// more than this policy waits.
    pub(crate) fn wait(&self, round: u32, asked: Option<Duration>, random: u64) -> Option<Duration> {
        let full = self.initial.saturating_mul(2u32.saturating_pow(round.min(20))).min(self.max);
        let half = full / 2;
        let span = u64::try_from((full - half).as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        let own = half + Duration::from_micros(random % span);
        match asked {
            Some(asked) if asked > self.max => None,
            Some(asked) => Some(own.max(asked)),
            None => Some(own),
        }
    }
}

/// Sixteen random bytes as hexadecimal text: an `Idempotency-Key` of one logical call.
pub(crate) fn fresh_key() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the operating system's random source works");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    SystemRandom::new().fill(&mut bytes).expect("the operating system's random source works");
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_its_cap_and_honours_what_the_server_asks() {
        let policy = RetryPolicy::default();
        for (round, full) in [(0, 200), (1, 400), (2, 800), (10, 5000), (u32::MAX, 5000)] {
            for random in [0, 7, u64::MAX] {
                let wait = policy.wait(round, None, random).unwrap();
                let full = Duration::from_millis(full);
                assert!(wait >= full / 2 && wait <= full, "{round}: {wait:?}");
            }
        }
        assert_eq!(policy.wait(0, Some(Duration::from_secs(3)), 1), Some(Duration::from_secs(3)));
        assert_eq!(policy.wait(0, Some(Duration::from_secs(60)), 1), None);
    }

    #[test]
    fn keys_are_fresh() {
        let (a, b) = (fresh_key(), fresh_key());
        assert!(a != b && a.len() == 32 && a.bytes().all(|c| c.is_ascii_hexdigit()));
    }
}
