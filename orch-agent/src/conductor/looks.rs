//! Looks at single containers: ones that the task waits for, and ones that it does not.

use std::sync::Arc;
use std::time::Duration;

use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::runtime::{ContainerId, ObservedContainer, Owner, RuntimeError};

use super::goal::remembered;
use super::{Conductor, Job};
use crate::retry::chain;

/// How long what became known of an end is waited for, where nothing is urgent.
const DETAILS_WITHIN: Duration = Duration::from_secs(5);

impl Conductor {
    /// Looks at a container; its task waits for what is seen, unless the container is known to be dead.
    pub(super) fn look(&mut self, task: Option<TaskId>, container: ContainerId) {
        if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
            if entry.busy.is_some() {
                entry.dirty.insert(container);
                return;
            }
            if let Some(task) = task
                && entry.knows_end_of(&container)
            {
                return self.ask_details(task, container);
            }
            entry.looking += 1;
        }
        let (shared, begun) = (Arc::clone(&self.shared), self.tick);
        self.jobs.push(Box::pin(async move {
            let found = shared.ask(Duration::ZERO, shared.runtime.inspect(&container)).await;
            Job::Seen { task, container, begun, found }
        }));
    }

    /// Asks how a container ended. Unlike a look, nothing waits for that but what is not urgent.
    pub(super) fn ask_details(&mut self, task: TaskId, container: ContainerId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        if !entry.unsure.insert(container.clone()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.jobs.push(Box::pin(async move {
            let found = tokio::select! {
                biased;
                found = shared.runtime.inspect(&container) => Some(found),
                () = shared.env.sleep(DETAILS_WITHIN) => None,
            };
            Job::Detailed { task, container, found }
        }));
    }

    pub(super) fn take_seen(
        &mut self,
        task: Option<TaskId>,
        container: ContainerId,
        begun: u64,
        found: Result<Option<ObservedContainer>, RuntimeError>,
    ) {
        if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
            entry.looking = entry.looking.saturating_sub(1);
        }
        self.queue.extend(task);
        match found {
            Ok(Some(seen)) => {
                let owner = Owner { cluster: seen.labels.cluster, node: seen.labels.node };
                if self.owner != Some(owner) {
                    return;
                }
                let task = seen.labels.task;
                let entry = self.tasks.entry(task).or_insert_with(|| remembered(&self.shared, task));
                if entry.busy.is_some() || entry.changed_at > begun {
                    self.look(Some(task), container); // a step changed it meanwhile
                } else {
                    entry.observe(seen);
                    self.queue.insert(task);
                }
            }
            Ok(None) => {
                if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
                    entry.is_gone(&container);
                }
            }
            Err(RuntimeError::Unreachable(why)) => self.runtime_is_away(&why.to_string()),
            Err(error) => {
                tracing::debug!(%container, error = %chain(&error), "a container could not be looked at");
                self.list_soon();
            }
        }
    }

    pub(super) fn take_details(
        &mut self,
        task: TaskId,
        container: &ContainerId,
        found: Option<Result<Option<ObservedContainer>, RuntimeError>>,
    ) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        match found {
            Some(Err(RuntimeError::Unreachable(why))) => {
                // It stays unsure: whether the engine's going away was its end is told by the list that follows.
                return self.runtime_is_away(&why.to_string());
            }
            Some(Ok(Some(seen))) if !entry.refine(&seen) => {
                // Someone started it again.
                if entry.busy.is_some() {
                    entry.dirty.insert(container.clone());
                } else {
                    entry.observe(seen);
                }
            }
            Some(Ok(None)) if entry.memory.container.as_ref() != Some(container) => entry.is_gone(container),
            Some(Ok(_) | Err(_)) | None => {}
        }
        entry.unsure.remove(container);
        self.queue.insert(task);
    }
}
