//! What the pulls under way have come to, told now and then.

use std::time::Duration;

use orch_core::env::EnvExt as _;

use super::{Conductor, Job};

/// How often what a pull has come to is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);

impl Conductor {
    /// Tells what the pulls under way have come to.
    pub(super) fn look_at_pulls(&mut self) {
        self.looks_at_pulls = false;
        for (task, entry) in &mut self.tasks {
            let (Some(busy), Some(desired), Some(said)) = (&entry.busy, &entry.desired, &mut entry.said)
            else {
                continue;
            };
            if !busy.launching || entry.memory.image.is_some() {
                continue;
            }
            self.looks_at_pulls = true;
            let progress = self.pulls.progress(&desired.template.image);
            if progress.is_some() && said.note != progress && !self.goal.revoked {
                tracing::debug!(%task, progress = progress.as_deref(), "pulling");
                said.note = progress;
                self.shared.outbox.push(said.clone());
            }
        }
        if self.looks_at_pulls {
            self.look_at_pulls_later();
        }
    }

    pub(super) fn look_at_pulls_later(&mut self) {
        self.looks_at_pulls = true;
        let sleep = self.shared.env.sleep(PROGRESS_INTERVAL);
        self.jobs.push(Box::pin(async move {
            sleep.await;
            Job::LookAtPulls
        }));
    }
}
