//! The runtime as a whole: whether it is there, and all that is there of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use orch_core::id::TaskId;
use orch_core::runtime::{ContainerId, ContainerState, ObservedContainer, RuntimeError};
use orch_core::time::Monotonic;

use super::entry::Entry;
use super::goal::remembered;
use super::{Conductor, Job};
use crate::retry::{Retry, chain};

/// An engine that is stopped ends its containers before it falls silent: no longer before, by its own limits.
const ENGINE_STOP: Duration = Duration::from_secs(20);

/// What is known of the runtime as a whole.
pub(super) struct RuntimeView {
    pub(super) reachable: bool,
    /// Our containers were listed at least once.
    pub(super) listed: bool,
    /// The list under way, if any.
    listing: Option<u64>,
    /// How many were begun.
    lists: u64,
    pub(super) list_at: Monotonic,
    /// It was away since it was listed last: what ended meanwhile is its doing, not the tasks'.
    pub(super) was_away: bool,
    retry: Retry,
}

impl RuntimeView {
    /// Of a runtime of which nothing is known yet; to be listed at once.
    pub(super) const fn new(now: Monotonic) -> Self {
        Self {
            reachable: true,
            listed: false,
            listing: None,
            lists: 0,
            list_at: now,
            was_away: false,
            retry: Retry::new("listing containers"),
        }
    }

    /// What the list under way will say is of no use.
    pub(super) const fn forget_list(&mut self) {
        self.listing = None;
    }
}

impl Conductor {
    pub(super) fn list(&mut self) {
        let Some(owner) = self.owner else { return };
        if self.runtime.listing.is_some() {
            return; // it is given up in time should it hang
        }
        self.runtime.lists += 1;
        let (number, begun) = (self.runtime.lists, self.tick);
        self.runtime.listing = Some(number);
        let shared = Arc::clone(&self.shared);
        self.jobs.push(Box::pin(async move {
            let found = shared.ask(Duration::ZERO, shared.runtime.list(&owner)).await;
            Job::Listed { number, begun, found }
        }));
    }

    pub(super) fn take_list(
        &mut self,
        number: u64,
        begun: u64,
        found: Result<Vec<ObservedContainer>, RuntimeError>,
    ) {
        if self.runtime.listing != Some(number) {
            return; // a newer one is under way
        }
        self.runtime.listing = None;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.set_reachable(false, Some(&chain(&error)));
                let wait = self.runtime.retry.failed(&self.shared.env, &error, None);
                self.runtime.list_at = self.shared.env.monotonic() + wait;
                return;
            }
        };
        self.runtime.retry.worked();
        self.set_reachable(true, None);
        self.runtime.list_at = self.shared.env.monotonic() + self.shared.config.sweep_interval;
        let pardon = std::mem::take(&mut self.runtime.was_away);
        let first = !std::mem::replace(&mut self.runtime.listed, true);
        let mut by_task: BTreeMap<TaskId, Vec<ObservedContainer>> = BTreeMap::new();
        for container in found {
            by_task.entry(container.labels.task).or_default().push(container);
        }
        for task in by_task.keys() {
            self.tasks.entry(*task).or_insert_with(|| remembered(&self.shared, *task));
        }
        let mut again = Vec::new();
        for (task, entry) in &mut self.tasks {
            let listed = by_task.remove(task).unwrap_or_default();
            if entry.is_occupied() || entry.changed_at > begun {
                // The list is older than what is being done: what it says otherwise is looked at by itself.
                again.extend(
                    at_odds(&entry.containers, &listed).into_iter().map(|container| (*task, container)),
                );
                continue;
            }
            if pardon {
                entry.memory.runtime_is_back();
                entry.memory.pardon = ended_meanwhile(entry, &listed);
            }
            entry.unsure.clear();
            if entry.containers != listed {
                entry.containers = listed;
                self.queue.insert(*task);
            }
        }
        for (task, container) in again {
            self.look(Some(task), container);
        }
        // While the runtime was away nothing was begun, of those neither that were busy or changed as the list was made.
        if first || pardon {
            self.queue.extend(self.tasks.keys());
        }
    }

    /// Nothing is known until it is back: what the tasks are stays as it was last said, and nothing is tried.
    pub(super) fn runtime_is_away(&mut self, why: &str) {
        self.set_reachable(false, Some(why));
        self.list_soon();
    }

    /// What ended just before the engine went away was its doing.
    pub(super) fn forgive(&mut self) {
        let now = self.shared.env.monotonic().since_origin();
        let since = Monotonic::from_origin(now.saturating_sub(ENGINE_STOP));
        for (task, entry) in &mut self.tasks {
            entry.memory.forgive(since);
            self.queue.insert(*task);
        }
    }

    pub(super) fn set_reachable(&mut self, reachable: bool, why: Option<&str>) {
        if !reachable && !std::mem::replace(&mut self.runtime.was_away, true) {
            self.forgive();
        }
        let now = self.shared.env.monotonic();
        self.shared.engine_away.send_modify(|away| {
            if reachable {
                *away = None;
            } else {
                away.get_or_insert_with(|| (now, why.unwrap_or("no answer").to_owned()));
            }
        });
        self.shared.status.send_if_modified(|status| {
            std::mem::replace(&mut status.runtime_reachable, reachable) != reachable
        });
        if std::mem::replace(&mut self.runtime.reachable, reachable) != reachable {
            if reachable {
                tracing::info!("the container runtime is back");
            } else {
                tracing::warn!(why, "the container runtime cannot be reached; its tasks stay as they are");
            }
        }
    }

    /// Lists within the second, rather than at the next sweep.
    pub(super) fn list_soon(&mut self) {
        let soon = self.shared.env.monotonic() + Duration::from_millis(250);
        self.runtime.list_at = self.runtime.list_at.min(soon);
    }
}

/// The containers that two views do not agree on.
fn at_odds(known: &[ObservedContainer], listed: &[ObservedContainer]) -> BTreeSet<ContainerId> {
    let same = |a: &ObservedContainer, b: &ObservedContainer| {
        a.id == b.id && std::mem::discriminant(&a.state) == std::mem::discriminant(&b.state)
    };
    let only = |these: &[ObservedContainer], those: &[ObservedContainer]| -> Vec<ContainerId> {
        let odd = these.iter().filter(|this| !those.iter().any(|that| same(this, that)));
        odd.map(|container| container.id.clone()).collect()
    };
    only(known, listed).into_iter().chain(only(listed, known)).collect()
}

/// Whether a container that ran when the runtime went away has ended since, or had ended so shortly before that nothing
/// was made of it yet.
fn ended_meanwhile(entry: &Entry, listed: &[ObservedContainer]) -> bool {
    let open = |id| entry.unsure.contains(id) && entry.memory.container.as_ref() == Some(id);
    entry.containers.iter().any(|known| {
        (matches!(known.state, ContainerState::Running { .. }) || open(&known.id))
            && listed.iter().any(|now| now.id == known.id && matches!(now.state, ContainerState::Exited(_)))
    })
}
