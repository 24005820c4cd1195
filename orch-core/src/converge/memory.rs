//! [`TaskMemory`]: what an agent knows of a task beyond what the runtime shows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HealthState, Step, StepDone, StepFailure};
use crate::id::TaskId;
use crate::runtime::{ContainerId, ObservedContainer};
use crate::service::{Backoff, ImageOrder, ResolvedImage};
use crate::task::{Attempt, Exit, Failure, FailureKind, TaskReport, TaskStatus};
use crate::time::Monotonic;

/// How long to wait before a step that failed is tried again: half a second to a minute.
const STEP_BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(60),
    reset_after: Duration::from_secs(60),
};

/// A container that cannot be created or started so often in a row is given up on this node.
const LAUNCH_TRIES: u32 = 8;

/// A host port that is taken so often in a row is given up: one that a crash left to nobody is free a moment later.
const PORT_TRIES: u32 = 4;

/// What is remembered of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskMemory {
    attempt: Attempt,
    /// Attempts that ended in a row, none of them after running long enough.
    pub failures: u32,
    /// When the attempt may begin.
    pub restart_at: Option<Monotonic>,
    /// The attempt's container, once there is one.
    pub container: Option<ContainerId>,
    /// Since when the attempt runs, as far as this process saw.
    pub running_since: Option<Monotonic>,
    /// The image was asked for in this attempt, and that was said.
    pub pulls: bool,
    /// What the image was resolved to.
    pub image: Option<ResolvedImage>,
    /// What was told of the image when it was last asked for.
    pub ordered: Option<ImageOrder>,
    /// How the attempt before ended.
    pub last_exit: Option<Exit>,
    /// The task's end, once it came to one.
    pub end: Option<TaskStatus>,
    /// What went wrong with the last step.
    pub trouble: Option<Trouble>,
    /// What probes say of the attempt.
    pub health: HealthState,
    /// The attempt was found running, not started by this process.
    pub adopted: bool,
    /// When the signal to end is due, once the task is on its way out.
    pub signal_at: Option<Monotonic>,
    /// A stop of ours was carried out.
    pub stopped_by_us: bool,
    /// The attempt was stopped since the control plane was not heard: its end is none of the task's own.
    pub(super) rested: bool,
    /// The last stop that the runtime says was carried out, on whichever container.
    stop_said: Option<StopSaid>,
    /// The next end is the node's doing (its engine was restarted): it is not counted.
    pub pardon: bool,
    /// When an end was last counted.
    pub counted_at: Option<Monotonic>,
    /// A sentence for people.
    pub note: Option<String>,
}

/// A step failed, and is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which step.
    pub step: &'static str,
    /// Whether it was one that leads to a running container (pull, create, start), or one that ends one.
    pub launching: bool,
    /// How often in a row.
    pub failures: u32,
    /// When to try again.
    pub retry_at: Monotonic,
    /// The runtime could not be reached: tried again as soon as it can.
    pub unreachable: bool,
}

/// A runtime said that it stopped a container. If the container runs all the same, asking again at once is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StopSaid {
    container: ContainerId,
    /// How often in a row.
    times: u32,
    retry_at: Monotonic,
}

/// The part of a memory that outlives the agent's process: without it a crash loop would begin anew with each restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    /// The attempt that the task is at.
    pub attempt: Attempt,
    /// Ends in a row.
    pub failures: u32,
    /// The attempt was stopped since the control plane was not heard.
    #[serde(default)]
    pub rested: bool,
}

impl TaskMemory {
    /// What is known after a restart of the agent.
    #[must_use]
    pub fn recalled(streak: Streak) -> Self {
        let Streak { attempt, failures, rested } = streak;
        Self { attempt, failures, rested, ..Self::default() }
    }

    /// What should outlive the process; `None` where there is nothing that a fresh start would not know.
    #[must_use]
    pub fn streak(&self) -> Option<Streak> {
        let Self { attempt, failures, rested, .. } = *self;
        (failures > 0 || rested).then_some(Streak { attempt, failures, rested })
    }

    /// The attempt that counts.
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Goes on to a later attempt, if `attempt` is one. What belongs to the one before is forgotten.
    pub(super) fn not_behind(&mut self, attempt: Attempt) {
        if attempt > self.attempt {
            self.attempt = attempt;
            self.container = None;
            self.running_since = None;
            self.adopted = false;
            self.pulls = false;
            self.stopped_by_us = false;
            self.rested = false;
            self.signal_at = None;
            self.health = HealthState::default();
        }
    }

    /// Where the task is while its attempt has no container.
    pub(super) const fn status_before_created(&self) -> TaskStatus {
        if self.pulls { TaskStatus::Pulling } else { TaskStatus::Assigned }
    }

    /// A container of this attempt, or a later one, is there.
    pub(super) fn adopt(&mut self, container: &ObservedContainer) {
        self.not_behind(container.labels.attempt);
        if self.container.as_ref() != Some(&container.id) {
            self.adopted = matches!(container.state, crate::runtime::ContainerState::Running { .. });
            self.container = Some(container.id.clone());
        }
    }

    /// The container runs: what it took to get there is forgiven.
    pub(super) fn runs(&mut self, now: Monotonic) {
        // Once it was stopped, what still shows it running is a look of before.
        self.rested &= self.stopped_by_us;
        self.restart_at = None;
        self.trouble = None;
        if self.running_since.is_none() {
            self.running_since = Some(now);
            self.note = None;
        }
    }

    /// What is to be said of the task, being where it is.
    pub(super) fn report(&self, task: TaskId, status: TaskStatus) -> TaskReport {
        let note = match &status {
            TaskStatus::Running(_) => self.health.problem.clone().or_else(|| self.note.clone()),
            status if status.is_terminal() => None,
            _ => self.note.clone(),
        };
        TaskReport {
            task,
            attempt: Some(self.attempt),
            container: self.container.clone(),
            image: self.image.as_ref().map(|image| image.id.clone()),
            // Of no use to a control plane that does not ask.
            origin: self.image.as_ref().filter(|_| self.ordered.is_some()).map(|image| image.origin.clone()),
            last_exit: self.last_exit.clone(),
            note,
            status,
            prepared: None,
        }
    }

    /// The runtime is back: what failed because it was away is tried at once.
    pub fn runtime_is_back(&mut self) {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.unreachable) {
            self.trouble = None;
        }
    }

    /// The node's engine went away: an end that was counted at `since` or later was its doing as well, and is restarted
    /// without a wait. An engine that is stopped ends its containers first, and says so.
    pub fn forgive(&mut self, since: Monotonic) {
        if self.counted_at.take_if(|at| *at >= since).is_some() {
            self.failures = self.failures.saturating_sub(1);
            self.restart_at = None;
        }
    }

    /// More became known of how `attempt` ended, which the task may have left behind.
    pub fn refine(&mut self, attempt: Attempt, exit: &Exit) {
        if attempt.next() == self.attempt
            && let Some(last) = &mut self.last_exit
        {
            *last = Exit { by_us: last.by_us || exit.by_us, ..exit.clone() };
        }
    }

    /// What is known after a step. `random` places the wait before another try within its jitter.
    pub fn after(
        &mut self,
        step: &Step,
        outcome: Result<&StepDone, &StepFailure>,
        now: Monotonic,
        random: u64,
    ) {
        let launching = step.is_launch();
        let failure = match outcome {
            Ok(done) => {
                // That the image is there says nothing of why the container could not be made from it before.
                if !launching || self.trouble.as_ref().is_some_and(|trouble| trouble.step == step.name()) {
                    self.trouble = None;
                }
                match done {
                    StepDone::Pulled(image) => {
                        self.image = Some(image.clone());
                        self.note = None;
                    }
                    StepDone::Created(container) => self.container = Some(container.clone()),
                    StepDone::Stopped => {
                        self.stopped_by_us = true;
                        self.stop_was_said(step, now, random);
                    }
                    StepDone::Started | StepDone::Removed => {}
                }
                return;
            }
            Err(failure) => failure,
        };
        if matches!(step, Step::Create { .. }) {
            self.image = None; // it may be what is missing: make sure of it before the next try
        }
        let pulling = matches!(step, Step::Pull { .. });
        let failures = match &self.trouble {
            Some(trouble) if trouble.launching == launching => trouble.failures + 1,
            _ => 1,
        };
        match failure {
            StepFailure::Permanent { kind, message }
                if launching && (*kind != FailureKind::Port || failures >= PORT_TRIES) =>
            {
                self.fail(*kind, message);
            }
            StepFailure::Retry { message, .. } | StepFailure::NoAnswer { message }
                if launching && !pulling && failures >= LAUNCH_TRIES =>
            {
                self.fail(FailureKind::Engine, message);
            }
            StepFailure::Gone => self.trouble = None,
            StepFailure::Unreachable { message }
            | StepFailure::NoAnswer { message }
            | StepFailure::Permanent { message, .. }
            | StepFailure::Retry { message, .. } => {
                let asked = match failure {
                    StepFailure::Retry { after, .. } => after.unwrap_or_default(),
                    _ => Duration::ZERO,
                };
                let wait = STEP_BACKOFF.delay_asked(failures + 1, asked, random);
                let unreachable = matches!(failure, StepFailure::Unreachable { .. });
                self.trouble = Some(Trouble {
                    step: step.name(),
                    launching,
                    failures,
                    retry_at: now + wait,
                    unreachable,
                });
                if !unreachable {
                    self.note = Some(format!("trying again in {}: {message}", seconds(wait)));
                }
            }
        }
    }

    fn stop_was_said(&mut self, step: &Step, now: Monotonic, random: u64) {
        let Step::Stop { container, .. } = step else { return };
        let before = self.stop_said.as_ref().filter(|said| said.container == *container);
        let times = before.map_or(0, |said| said.times).saturating_add(1);
        let retry_at = now + STEP_BACKOFF.delay(times.saturating_add(1), random);
        self.stop_said = Some(StopSaid { container: container.clone(), times, retry_at });
    }

    /// Until when a step is not worth repeating that the runtime says is done.
    pub(super) fn rests_until(&self, step: &Step) -> Option<Monotonic> {
        match (step, &self.stop_said) {
            (Step::Stop { container, .. }, Some(said)) if said.container == *container => Some(said.retry_at),
            _ => None,
        }
    }

    fn fail(&mut self, kind: FailureKind, reason: &str) {
        self.trouble = None;
        self.end = Some(TaskStatus::Failed(Failure { kind, reason: reason.to_owned(), exit: None }));
    }

    /// The attempt ended, and another one follows.
    pub(super) fn next_attempt(&mut self, exit: Exit, restart_at: Option<Monotonic>, note: String) {
        self.not_behind(self.attempt.next());
        self.last_exit = Some(exit);
        self.restart_at = restart_at;
        self.trouble = None;
        self.note = Some(note);
    }
}

/// `12 s`, `0.7 s`.
pub(super) fn seconds(duration: Duration) -> String {
    if duration.as_secs() >= 10 {
        format!("{} s", duration.as_secs_f64().round())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
