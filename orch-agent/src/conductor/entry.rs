//! [`Entry`]: all that the agent holds about one task.

use std::collections::BTreeSet;
use std::sync::Arc;

use orch_core::agent::DesiredTask;
use orch_core::converge::{Intent, Step, StepDone, StepFailure, TaskMemory, TaskPlan, TaskView, converge};
use orch_core::id::TaskId;
use orch_core::runtime::{
    ContainerChange, ContainerEvent, ContainerId, ContainerLabels, ContainerState, ObservedContainer, Owner,
};
use orch_core::service::HealthCheck;
use orch_core::task::{Exit, TaskReport};
use orch_core::time::{Monotonic, Timestamp};
use tokio_util::sync::CancellationToken;

use super::prepare::Preparing;
use super::work::Launch;
use crate::contact::Lapse;

/// A task on this node, wanted or not.
#[derive(Default)]
pub(crate) struct Entry {
    /// What is wanted; `None`: it has no business here.
    pub(crate) desired: Option<Arc<DesiredTask>>,
    /// Whether it may run while the control plane is not heard.
    pub(crate) lapse: Lapse,
    /// Why this node does not run it.
    pub(crate) refusal: Option<String>,
    pub(crate) containers: Vec<ObservedContainer>,
    pub(crate) memory: TaskMemory,
    /// The step under way. One at a time: what comes next depends on what it comes to.
    pub(crate) busy: Option<Busy>,
    /// Looks at containers under way.
    pub(crate) looking: usize,
    /// What was told of its containers during a step: to be taken in after it.
    pub(crate) told: Vec<ContainerEvent>,
    /// Containers that something happened to during a step: to be looked at after it.
    pub(crate) dirty: BTreeSet<ContainerId>,
    /// Dead containers that more may become known of: they are being looked at, and hold up nothing that is urgent.
    pub(crate) unsure: BTreeSet<ContainerId>,
    /// When a step or an event last changed something, in the conductor's count: what was seen before that is stale.
    pub(crate) changed_at: u64,
    /// Held from a creation to the start that follows.
    pub(crate) launch: Option<Launch>,
    /// The container that is being probed.
    pub(crate) probing: Option<ContainerId>,
    /// The image that is fetched for what is to take the task's place.
    pub(crate) preparing: Option<Preparing>,
    /// What was last said.
    pub(crate) said: Option<TaskReport>,
    /// When to look again.
    pub(crate) timer: Option<Monotonic>,
}

/// What an event leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It says what was known.
    Nothing,
    /// It changed what is known.
    News,
    /// It told an end, or something about one: a look may tell more, and nothing that is urgent waits for it.
    End,
    /// Only a look tells what is the case.
    Unclear,
}

pub(crate) struct Busy {
    pub(crate) launching: bool,
    pub(crate) unwanted: CancellationToken,
}

impl Entry {
    pub(crate) fn intent(&self, revoked: bool) -> Intent<'_> {
        if revoked {
            return Intent::Halt;
        }
        match (Intent::of(self.desired.as_deref()), self.lapse) {
            (Intent::Run(task), Lapse::Over) => Intent::Rest(task),
            (Intent::Run(task), Lapse::Unproven) if !self.runs() => Intent::Rest(task),
            (intent, _) => intent,
        }
    }

    fn runs(&self) -> bool {
        self.containers.iter().any(|known| matches!(known.state, ContainerState::Running { .. }))
    }

    /// What to do now.
    pub(crate) fn plan(
        &self,
        task: TaskId,
        revoked: bool,
        keep_dead: usize,
        now: Monotonic,
        random: u64,
    ) -> TaskPlan {
        let view = TaskView {
            task,
            intent: self.intent(revoked),
            refusal: self.refusal.as_deref(),
            containers: &self.containers,
            memory: &self.memory,
            keep_dead,
        };
        converge(&view, now, random)
    }

    /// Whether a step is under way, or a look that may change what is known.
    pub(crate) const fn is_occupied(&self) -> bool {
        self.busy.is_some() || self.looking > 0
    }

    /// Takes in what the runtime told of a container.
    ///
    /// A container that has ended is never started again by us, so the first word of an end is the last; where someone
    /// else started it, only a look tells.
    pub(crate) fn hear(&mut self, event: &ContainerEvent) -> Heard {
        let known = self.containers.iter_mut().find(|known| known.id == event.container);
        let Some(known) = known else {
            let gone = event.change == ContainerChange::Removed;
            return if gone { Heard::Nothing } else { Heard::Unclear };
        };
        match (&event.change, &known.state) {
            (ContainerChange::Created, _)
            | (ContainerChange::Started { .. }, ContainerState::Running { .. })
            | (ContainerChange::Ended(_), ContainerState::Exited(_))
            | (ContainerChange::OutOfMemory, ContainerState::Created | ContainerState::Running { .. }) => {
                Heard::Nothing
            }
            (ContainerChange::Started { since }, ContainerState::Created) => {
                known.state = ContainerState::Running { since: *since };
                Heard::News
            }
            (ContainerChange::Ended(exit), ContainerState::Running { since }) => {
                let started_at = exit.started_at.or(Some(*since));
                known.state = ContainerState::Exited(Exit { started_at, ..exit.clone() });
                Heard::End
            }
            (ContainerChange::OutOfMemory, ContainerState::Exited(_)) => Heard::End,
            (ContainerChange::Removed, _) => {
                self.is_gone(&event.container);
                Heard::News
            }
            _ => Heard::Unclear,
        }
    }

    /// Takes over how a dead container ended, as a look at it told. Answers `false` where that is not what it is any more.
    pub(crate) fn refine(&mut self, seen: &ObservedContainer) -> bool {
        let ContainerState::Exited(exit) = &seen.state else { return false };
        self.memory.refine(seen.labels.attempt, exit);
        if let Some(known) = self.containers.iter_mut().find(|known| known.id == seen.id) {
            known.state = seen.state.clone();
        }
        true
    }

    /// Whether a plan rests on an end of which more may become known, and can wait for that: all but another attempt at
    /// once can.
    pub(crate) fn can_wait(&self, plan: &TaskPlan, revoked: bool) -> bool {
        let unsure = self.memory.container.as_ref().is_some_and(|current| self.unsure.contains(current));
        unsure && self.intent(revoked).is_run() && !plan.step.as_ref().is_some_and(Step::is_launch)
    }

    /// Takes over what is known of a container.
    pub(crate) fn observe(&mut self, seen: ObservedContainer) {
        match self.containers.iter_mut().find(|container| container.id == seen.id) {
            Some(known) => *known = seen,
            None => self.containers.push(seen),
        }
    }

    /// Whether the container is known to have ended.
    pub(crate) fn knows_end_of(&self, container: &ContainerId) -> bool {
        let ended = |known: &ObservedContainer| {
            known.id == *container && matches!(known.state, ContainerState::Exited(_))
        };
        self.containers.iter().any(ended)
    }

    pub(crate) fn is_gone(&mut self, container: &ContainerId) {
        self.containers.retain(|known| known.id != *container);
    }

    /// Takes over what a step must have changed. Answers the container to look at, where more than that may have happened.
    pub(crate) fn after(
        &mut self,
        owner: Owner,
        step: &Step,
        outcome: &Result<StepDone, StepFailure>,
        now: Timestamp,
    ) -> Option<ContainerId> {
        match (step, outcome) {
            (Step::Create { attempt, .. }, Ok(StepDone::Created(id))) => {
                let task = self.desired.as_deref()?;
                let labels = ContainerLabels {
                    cluster: owner.cluster,
                    node: owner.node,
                    service: task.service,
                    task: task.id,
                    attempt: *attempt,
                    version: task.version,
                    digest: task.digest,
                    restart: task.template.restart.clone(),
                    stop: task.template.stop.clone(),
                };
                if self.containers.iter().all(|known| known.id != *id) {
                    let state = ContainerState::Created;
                    self.containers.push(ObservedContainer { id: id.clone(), labels, state });
                }
                None
            }
            (Step::Start { container }, Ok(_)) => {
                let known = self.containers.iter_mut().find(|known| known.id == *container)?;
                if known.state == ContainerState::Created {
                    known.state = ContainerState::Running { since: now };
                }
                None
            }
            (Step::Remove { container }, Ok(_))
            | (
                Step::Start { container } | Step::Stop { container, .. } | Step::Remove { container },
                Err(StepFailure::Gone),
            ) => {
                self.is_gone(container);
                None
            }
            // How it ended, or whether a step that failed did something after all, only the runtime knows.
            (Step::Stop { container, .. }, Ok(_))
            | (
                Step::Start { container } | Step::Stop { container, .. } | Step::Remove { container },
                Err(_),
            ) => Some(container.clone()),
            (Step::Pull { .. } | Step::Create { .. }, _) => None,
        }
    }

    /// The health check of the running container, if it has one and is to run.
    pub(crate) fn check(&self) -> Option<(&ContainerId, &HealthCheck)> {
        let check = self.desired.as_deref()?.template.health.as_ref()?;
        let current = self.memory.container.as_ref()?;
        let runs = self.containers.iter().any(|container| {
            container.id == *current && matches!(container.state, ContainerState::Running { .. })
        });
        runs.then_some((current, check))
    }
}
