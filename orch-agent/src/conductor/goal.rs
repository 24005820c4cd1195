//! What is wanted: taken from what the control plane last told.

use std::collections::BTreeSet;
use std::sync::Arc;

use orch_core::converge::TaskMemory;
use orch_core::id::TaskId;
use orch_core::runtime::Owner;

use super::Conductor;
use super::entry::Entry;
use crate::shared::{Goal, Shared};

impl Conductor {
    pub(super) fn take_goal(&mut self, goal: Goal) {
        let revoked = goal.revoked != self.goal.revoked;
        self.goal = goal;
        let Some(desired) = self.goal.desired.clone() else { return };
        let owner = Owner { cluster: desired.version.cluster, node: desired.node };
        if self.owner != Some(owner) {
            self.become_owner(owner);
        }
        let mut gone: BTreeSet<TaskId> = self.tasks.keys().copied().collect();
        for task in &desired.tasks {
            gone.remove(&task.id);
            let entry = self.tasks.entry(task.id).or_insert_with(|| remembered(&self.shared, task.id));
            if entry.desired.as_deref() != Some(task) {
                entry.refusal = self.shared.config.policy.refuses(&task.template.security);
                entry.desired = Some(Arc::new(task.clone()));
                self.queue.insert(task.id);
                self.prepare(task.id);
            }
        }
        for task in gone {
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.desired = None;
                self.queue.insert(task);
            }
        }
        if revoked {
            self.queue.extend(self.tasks.keys());
        }
    }

    /// The node is one of a cluster, for the first time or of another than before. Others' containers are left alone.
    pub(super) fn become_owner(&mut self, owner: Owner) {
        self.owner = Some(owner);
        self.tasks.clear();
        self.queue.clear();
        self.timers.clear();
        self.jobs.clear();
        self.looks_at_pulls = false;
        // Listen first, then list: what happens in between is seen by one of the two.
        self.events = self.shared.runtime.events(&owner);
        self.runtime.listed = false;
        self.runtime.forget_list();
        self.list();
    }

    /// A new registration: it may know less than the one before.
    pub(super) fn say_all_again(&mut self) {
        for (task, entry) in &mut self.tasks {
            entry.said = None;
            self.queue.insert(*task);
        }
    }
}

/// A task that is new to this process, with what an earlier one knew of it.
pub(super) fn remembered(shared: &Shared, task: TaskId) -> Entry {
    let streak = shared.streaks.borrow().get(&task).copied();
    Entry { memory: streak.map(TaskMemory::recalled).unwrap_or_default(), ..Entry::default() }
}
