//! What probes add up to.

use std::time::Duration;

use crate::service::{HealthCheck, Probe};
use crate::task::Health;
use crate::time::Monotonic;

/// Until a container was healthy once it is asked at least so often, so that a quick start is seen at once.
const EAGER_INTERVAL: Duration = Duration::from_millis(250);
/// The same for commands, which cost more than a connection.
const EAGER_EXEC_INTERVAL: Duration = Duration::from_secs(2);

/// What one probe came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// It serves.
    Success,
    /// It does not; the words say what was asked and answered.
    Failure(String),
    /// It could not be asked: that says nothing of the container.
    Unknown(String),
}

/// What the probes of one attempt add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthState {
    /// The verdict.
    pub health: Health,
    /// What the last probe found wrong, or why it could not ask, while the verdict is not healthy.
    pub problem: Option<String>,
    successes: u32,
    failures: u32,
    counted_at: Option<Monotonic>,
}

impl Default for HealthState {
    fn default() -> Self {
        Self { health: Health::Unchecked, problem: None, successes: 0, failures: 0, counted_at: None }
    }
}

impl HealthState {
    /// Takes in the outcome of a probe of a container that runs for `age`. Failures count once an interval, however eagerly a
    /// starting container is asked, and not before its start period is over.
    pub fn observe(&mut self, check: &HealthCheck, outcome: &ProbeOutcome, age: Duration, now: Monotonic) {
        match outcome {
            ProbeOutcome::Unknown(why) => {
                if self.health == Health::Unchecked {
                    self.problem = Some(why.clone());
                }
            }
            ProbeOutcome::Failure(_) if self.health == Health::Unchecked && age < check.start_period => {
                self.successes = 0;
            }
            ProbeOutcome::Success => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= check.healthy_threshold.max(1) {
                    self.health = Health::Healthy;
                    self.problem = None;
                }
            }
            ProbeOutcome::Failure(problem) => {
                self.successes = 0;
                let due = self.counted_at.is_none_or(|at| now.since(at) >= check.interval);
                if due {
                    self.counted_at = Some(now);
                    self.failures = self.failures.saturating_add(1);
                }
                if self.failures >= check.unhealthy_threshold.max(1) {
                    self.health = Health::Unhealthy;
                    self.problem = Some(problem.clone());
                }
            }
        }
    }

    /// How long to wait before the next probe.
    #[must_use]
    pub fn wait(&self, check: &HealthCheck) -> Duration {
        match self.health {
            Health::Unchecked => check.interval.min(match check.probe {
                Probe::Http { .. } | Probe::Tcp { .. } => EAGER_INTERVAL,
                Probe::Exec { .. } => EAGER_EXEC_INTERVAL,
            }),
            Health::Healthy | Health::Unhealthy => check.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long after any start period.
    const OLD: Duration = Duration::from_secs(3600);

    fn check() -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp { port: 80.try_into().unwrap() },
            start_period: Duration::ZERO,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_threshold: 2,
            unhealthy_threshold: 3,
        }
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn thresholds_hold_both_ways_and_a_probe_that_cannot_run_says_nothing() {
        let (check, mut state) = (check(), HealthState::default());
        state.observe(&check, &ProbeOutcome::Success, OLD, at(0));
        assert_eq!(state.health, Health::Unchecked);
        state.observe(&check, &ProbeOutcome::Unknown("no port".into()), OLD, at(1));
        state.observe(&check, &ProbeOutcome::Success, OLD, at(2));
        assert_eq!(state.health, Health::Healthy);
        for (time, expected) in
            [(5_000, Health::Healthy), (10_000, Health::Healthy), (15_000, Health::Unhealthy)]
        {
            state.observe(&check, &ProbeOutcome::Failure("refused".into()), OLD, at(time));
            assert_eq!(state.health, expected);
        }
        assert_eq!(state.problem.as_deref(), Some("refused"));
        state.observe(&check, &ProbeOutcome::Success, OLD, at(20_000));
        assert_eq!(state.health, Health::Unhealthy);
        state.observe(&check, &ProbeOutcome::Success, OLD, at(25_000));
        assert_eq!((state.health, state.problem), (Health::Healthy, None));
    }

    #[test]
    fn eager_probes_of_a_starting_container_do_not_make_it_unhealthy_early() {
        let (check, mut state) = (check(), HealthState::default());
        assert_eq!(state.wait(&check), EAGER_INTERVAL);
        for time in (0..10_000).step_by(250) {
            state.observe(&check, &ProbeOutcome::Failure("refused".into()), OLD, at(time));
            assert_eq!(state.health, Health::Unchecked, "at {time} ms");
        }
        state.observe(&check, &ProbeOutcome::Failure("refused".into()), OLD, at(10_000));
        assert_eq!(state.health, Health::Unhealthy);
        assert_eq!(state.wait(&check), check.interval);
    }

    #[test]
    fn failures_of_the_start_period_do_not_count_and_the_first_success_ends_it() {
        let check = HealthCheck { start_period: Duration::from_secs(60), healthy_threshold: 1, ..check() };
        let failure = ProbeOutcome::Failure("refused".into());
        let mut state = HealthState::default();
        for second in (0..60).step_by(5) {
            state.observe(&check, &failure, Duration::from_secs(second), at(second * 1000));
        }
        assert_eq!((state.health, state.problem.as_deref()), (Health::Unchecked, None));
        for second in [60, 65, 70] {
            assert_eq!(state.health, Health::Unchecked, "{second}");
            state.observe(&check, &failure, Duration::from_secs(second), at(second * 1000));
        }
        assert_eq!(state.health, Health::Unhealthy);

        let mut state = HealthState::default();
        state.observe(&check, &ProbeOutcome::Success, Duration::from_secs(1), at(1_000));
        for second in [5, 10, 15] {
            state.observe(&check, &failure, Duration::from_secs(second), at(second * 1000));
        }
        assert_eq!(
            state.health,
            Health::Unhealthy,
            "it served once: that it does no more is no matter of starting"
        );
    }

    #[test]
    fn why_a_container_cannot_be_asked_is_said_until_it_serves() {
        let (check, mut state) = (check(), HealthState::default());
        state.observe(&check, &ProbeOutcome::Unknown("no engine".into()), OLD, at(0));
        assert_eq!((state.health, state.problem.as_deref()), (Health::Unchecked, Some("no engine")));
        for second in [1, 2] {
            state.observe(&check, &ProbeOutcome::Success, OLD, at(second * 1000));
        }
        state.observe(&check, &ProbeOutcome::Unknown("no engine".into()), OLD, at(3_000));
        assert_eq!((state.health, state.problem), (Health::Healthy, None));
    }
}
