//! Where tasks are: told in batches, oldest first, the latest word on each, until it is acknowledged.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use orch_core::agent::{AgentApiError, TaskVerdict};
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::task::TaskReport;
use tokio::sync::Notify;

use crate::credential::Session;
use crate::retry::Retry;
use crate::shared::{Shared, retry_after};

/// Reports in one call at most.
const BATCH: usize = 256;

/// What is still to be told. Bounded by the number of tasks: of each only the latest word is kept.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: Mutex<Pending>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    /// By age. A newer word on a task keeps the place of the one that it replaces.
    by_age: BTreeMap<u64, TaskReport>,
    of_task: BTreeMap<TaskId, u64>,
    next: u64,
}

impl Outbox {
    /// Has something told.
    pub(crate) fn push(&self, report: TaskReport) {
        {
            let mut pending = self.pending();
            let fresh = pending.next;
            let place = *pending.of_task.entry(report.task).or_insert(fresh);
            pending.next += 1;
            pending.by_age.insert(place, report);
        }
        self.filled.notify_one();
    }

    /// Completes when there is something to tell.
    async fn filled(&self) {
        while self.pending().by_age.is_empty() {
            self.filled.notified().await;
        }
    }

    fn batch(&self, most: usize) -> Vec<(u64, TaskReport)> {
        self.pending().by_age.iter().take(most).map(|(place, report)| (*place, report.clone())).collect()
    }

    /// These are known now. What was said anew of a task meanwhile stays.
    fn acknowledge(&self, batch: &[(u64, TaskReport)]) {
        let mut pending = self.pending();
        for (place, report) in batch {
            if pending.by_age.get(place) == Some(report) {
                pending.by_age.remove(place);
                pending.of_task.remove(&report.task);
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells for ever; sessions come and go.
pub(crate) async fn run(shared: &Shared) {
    let mut retry = Retry::new("reporting task states");
    let mut most = BATCH;
    loop {
        shared.outbox.filled().await;
        let session = shared.session().await;
        let told = tokio::select! {
            biased;
            _ = session.lost() => continue,
            told = tell(shared, &session, most) => told,
        };
        match told {
            Ok(()) => {
                retry.worked();
                most = BATCH;
            }
            Err(AgentApiError::Refused(why)) if most > 1 => {
                tracing::warn!(why, "a batch of reports was refused; trying them one by one");
                most = 1;
            }
            Err(AgentApiError::Refused(why)) => {
                tracing::error!(why, "a report was refused and is dropped");
                shared.outbox.acknowledge(&shared.outbox.batch(1));
            }
            Err(error) => {
                if !session.judge(&error) {
                    let wait = retry.failed(&shared.env, &error, retry_after(&error));
                    shared.env.sleep(wait).await;
                }
            }
        }
    }
}

/// Tells all that there is, once: the last thing a stopping agent does before it says goodbye.
pub(crate) async fn flush(shared: &Shared, session: &Session) {
    while !shared.outbox.pending().by_age.is_empty() {
        if let Err(error) = tell(shared, session, BATCH).await {
            tracing::debug!(%error, "the last reports could not be delivered");
            return;
        }
    }
}

async fn tell(shared: &Shared, session: &Session, most: usize) -> Result<(), AgentApiError> {
    let batch = shared.outbox.batch(most);
    let reports = batch.iter().map(|(_, report)| report.clone()).collect();
    let authority = session.authority();
    let call = shared.api.report(&authority, reports);
    let answer = shared.call(shared.config.call_timeout, call).await?;
    for ((_, report), verdict) in batch.iter().zip(&answer.verdicts) {
        if let TaskVerdict::Refused(why) = verdict {
            tracing::debug!(task = %report.task, status = report.status.as_str(), why, "a report was not taken");
        }
    }
    shared.outbox.acknowledge(&batch);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::id::IdStream;
    use orch_core::task::{Health, TaskStatus};

    fn report(task: TaskId, status: TaskStatus) -> TaskReport {
        TaskReport::new(task, None, status)
    }

    #[test]
    fn the_latest_word_keeps_the_place_of_the_first_and_a_newer_one_survives_the_acknowledgement() {
        let (outbox, mut ids) = (Outbox::default(), IdStream::seeded(1));
        let (a, b) = (ids.next(), ids.next());
        outbox.push(report(a, TaskStatus::Pulling));
        outbox.push(report(b, TaskStatus::Pulling));
        outbox.push(report(a, TaskStatus::Created));
        let batch = outbox.batch(9);
        let order: Vec<_> = batch.iter().map(|(_, r)| (r.task, r.status.as_str())).collect();
        assert_eq!(order, [(a, "created"), (b, "pulling")]);
        outbox.push(report(a, TaskStatus::Running(Health::Unchecked)));
        outbox.acknowledge(&batch);
        let left: Vec<_> = outbox.batch(9).into_iter().map(|(_, r)| (r.task, r.status.as_str())).collect();
        assert_eq!(left, [(a, "running")]);
    }
}
