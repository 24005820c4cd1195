//! Steps: begun beside the conductor, and what they came to.

use std::sync::Arc;

use orch_core::converge::{Step, StepDone, StepFailure};
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use tokio_util::sync::CancellationToken;

use super::entry::Busy;
use super::work::{Work, Worked};
use super::{Conductor, Job};

impl Conductor {
    pub(super) fn perform(&mut self, task: TaskId, step: Step) {
        let (Some(owner), Some(entry)) = (self.owner, self.tasks.get_mut(&task)) else { return };
        let unwanted = CancellationToken::new();
        entry.busy = Some(Busy { launching: step.is_launch(), unwanted: unwanted.clone() });
        let pulls = matches!(step, Step::Pull { .. });
        tracing::debug!(%task, %step, "step");
        let work = Work {
            shared: Arc::clone(&self.shared),
            pulls: Arc::clone(&self.pulls),
            launches: Arc::clone(&self.launches),
            owner,
            task,
            desired: entry.desired.clone(),
            step,
            launch: entry.launch.take(),
            unwanted,
        };
        self.jobs.push(Box::pin(async move { Job::Worked(work.run().await) }));
        if pulls && !self.looks_at_pulls {
            self.look_at_pulls_later();
        }
    }

    pub(super) fn take_worked(&mut self, worked: Worked) {
        let Worked { task, step, outcome, launch } = worked;
        let (Some(owner), Some(entry)) = (self.owner, self.tasks.get_mut(&task)) else { return };
        entry.busy = None;
        entry.changed_at = self.tick;
        entry.launch = launch;
        self.queue.insert(task);
        let (mut unreachable, mut unanswered) = (None, false);
        if let Some(outcome) = outcome {
            if let (Step::Pull { image, .. }, Ok(StepDone::Pulled(found)), Some(desired)) =
                (&step, &outcome, &entry.desired)
            {
                self.shared.uses_image(image, &found.id, desired.service);
            }
            let env = &self.shared.env;
            entry.memory.after(&step, outcome.as_ref(), env.monotonic(), env.random_u64());
            if let Err(failure) = &outcome {
                tracing::debug!(%task, %step, ?failure, "step failed");
                if let StepFailure::Unreachable { message } = failure {
                    unreachable = Some(message.clone());
                }
                unanswered = matches!(failure, StepFailure::NoAnswer { .. });
            }
            if let Some(container) = entry.after(owner, &step, &outcome, env.now())
                && unreachable.is_none()
            {
                entry.dirty.insert(container);
            }
        }
        for event in std::mem::take(&mut entry.told) {
            self.hear(task, &event);
        }
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let dirty = std::mem::take(&mut entry.dirty);
        for container in dirty {
            self.look(Some(task), container);
        }
        if let Some(why) = unreachable {
            self.runtime_is_away(&why);
        } else if unanswered {
            self.list_soon(); // tells whether it is this call alone, and what it did after all
        }
    }
}
