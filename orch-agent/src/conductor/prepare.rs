//! Images that are to be on the node before a task makes room for another version (M32): fetched beside everything else.

use std::sync::Arc;
use std::time::Duration;

use orch_core::agent::Prepare;
use orch_core::converge::StepFailure;
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::service::{Backoff, ImageOrder, ImageRef, ResolvedImage};
use orch_core::task::{DesiredStatus, PrepareReport, Prepared};

use super::{Conductor, Job};

/// How long to wait before an image that could not be had is asked for again.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(60),
    reset_after: Duration::from_secs(60),
};

/// What was asked, and what was last said of it.
pub(crate) struct Preparing {
    asked: Prepare,
    said: PrepareReport,
}

impl Preparing {
    pub(crate) const fn said(&self) -> &PrepareReport {
        &self.said
    }
}

/// What became of one try.
pub(super) struct Fetched {
    task: TaskId,
    asked: Prepare,
    failures: u32,
    outcome: Result<ResolvedImage, StepFailure>,
}

impl Conductor {
    /// Begins to fetch what a task's desired state asks for, if it asks for something new.
    pub(super) fn prepare(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let wanted = entry.desired.as_deref().filter(|desired| desired.desired == DesiredStatus::Running);
        let asked = wanted.and_then(|desired| desired.prepare.clone());
        if entry.preparing.as_ref().map(|preparing| &preparing.asked) == asked.as_ref() {
            return;
        }
        entry.preparing = asked.clone().map(|asked| {
            let said = say(&asked, Prepared::Waiting("it is being fetched".to_owned()), None);
            Preparing { asked, said }
        });
        if let Some(asked) = asked {
            self.fetch(task, asked, 0, Duration::ZERO);
        }
    }

    fn fetch(&mut self, task: TaskId, asked: Prepare, failures: u32, wait: Duration) {
        let (shared, pulls) = (Arc::clone(&self.shared), Arc::clone(&self.pulls));
        self.jobs.push(Box::pin(async move {
            if !wait.is_zero() {
                shared.env.sleep(wait).await;
            }
            let outcome = pulls.pull(&name(&asked), asked.order.pin().and_then(|pin| pin.local_id())).await;
            Job::Fetched(Fetched { task, asked, failures, outcome })
        }));
    }

    pub(super) fn take_fetched(&mut self, fetched: Fetched) {
        let Fetched { task, asked, failures, outcome } = fetched;
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let Some(preparing) = entry.preparing.as_mut().filter(|preparing| preparing.asked == asked) else {
            return;
        };
        self.queue.insert(task);
        let (answer, after) = match outcome {
            Ok(image) => {
                if let Some(desired) = &entry.desired {
                    self.shared.uses_image(&name(&asked), &image.id, desired.service);
                }
                preparing.said = say(&asked, Prepared::Ready, Some(image));
                return;
            }
            Err(StepFailure::Permanent { message, .. }) => {
                tracing::warn!(%task, image = %asked.image, message, "the next version's image cannot be had");
                preparing.said = say(&asked, Prepared::Failed(message), None);
                return;
            }
            Err(StepFailure::Retry { message, after }) => (message, after.unwrap_or_default()),
            Err(StepFailure::Unreachable { message } | StepFailure::NoAnswer { message }) => {
                (message, Duration::ZERO)
            }
            Err(StepFailure::Gone) => ("it is gone".to_owned(), Duration::ZERO),
        };
        preparing.said = say(&asked, Prepared::Waiting(answer), None);
        let wait = BACKOFF.delay_asked(failures.saturating_add(2), after, self.shared.env.random_u64());
        self.fetch(task, asked, failures.saturating_add(1), wait);
    }
}

/// What the image is asked for as.
fn name(asked: &Prepare) -> ImageRef {
    asked.order.pin().map_or_else(|| asked.image.clone(), |pin| pin.reference(&asked.image))
}

fn say(asked: &Prepare, answer: Prepared, image: Option<ResolvedImage>) -> PrepareReport {
    // What is pinned is known; only what is not is said.
    let image = image.filter(|_| asked.order == ImageOrder::Resolve);
    let (image, origin) = image.map(|image| (image.id, image.origin)).unzip();
    PrepareReport { version: asked.version, since: asked.since, answer, image, origin }
}
