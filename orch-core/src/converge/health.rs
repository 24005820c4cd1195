//! What probes add up to.

use std::time::Duration;

use crate::service::HealthCheck;
use crate::task::Health;
use crate::time::Monotonic;

/// Until a container was healthy once it is asked at least so often, so that a quick start is seen at once.
const EAGER_INTERVAL: Duration = Duration::from_millis(250);

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
    /// What the last probe found wrong, while the verdict is not healthy.
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
    /// Takes a probe's outcome in. Failures count once an interval, however eagerly a starting container is asked.
    pub fn observe(&mut self, check: &HealthCheck, outcome: &ProbeOutcome, now: Monotonic) {
        match outcome {
            ProbeOutcome::Unknown(_) => {}
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
            Health::Unchecked => check.interval.min(EAGER_INTERVAL),
            Health::Healthy | Health::Unhealthy => check.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Probe;

    fn check() -> HealthCheck {
        HealthCheck {
            probe: Probe::Tcp,
            port: 80.try_into().unwrap(),
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
        state.observe(&check, &ProbeOutcome::Success, at(0));
        assert_eq!(state.health, Health::Unchecked);
        state.observe(&check, &ProbeOutcome::Unknown("no port".into()), at(1));
        state.observe(&check, &ProbeOutcome::Success, at(2));
        assert_eq!(state.health, Health::Healthy);
        for (time, expected) in
            [(5_000, Health::Healthy), (10_000, Health::Healthy), (15_000, Health::Unhealthy)]
        {
            state.observe(&check, &ProbeOutcome::Failure("refused".into()), at(time));
            assert_eq!(state.health, expected);
        }
        assert_eq!(state.problem.as_deref(), Some("refused"));
        state.observe(&check, &ProbeOutcome::Success, at(20_000));
        assert_eq!(state.health, Health::Unhealthy);
        state.observe(&check, &ProbeOutcome::Success, at(25_000));
        assert_eq!((state.health, state.problem), (Health::Healthy, None));
    }

    #[test]
    fn eager_probes_of_a_starting_container_do_not_make_it_unhealthy_early() {
        let (check, mut state) = (check(), HealthState::default());
        assert_eq!(state.wait(&check), EAGER_INTERVAL);
        for time in (0..10_000).step_by(250) {
            state.observe(&check, &ProbeOutcome::Failure("refused".into()), at(time));
            assert_eq!(state.health, Health::Unchecked, "at {time} ms");
        }
        state.observe(&check, &ProbeOutcome::Failure("refused".into()), at(10_000));
        assert_eq!(state.health, Health::Unhealthy);
        assert_eq!(state.wait(&check), check.interval);
    }
}
