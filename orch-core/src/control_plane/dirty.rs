//! Which services something touched: a queue without repetition, filled from the changes of transactions.

use std::collections::{BTreeSet, VecDeque};

use crate::cluster::{Change, Cluster, Key, Transaction};
use crate::id::{NodeId, ServiceId};
use crate::node::Node;
use crate::reconcile::{Held, HeldReason};
use crate::service::ServiceStatus;

/// Services to look at, oldest first, each once.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    queue: VecDeque<ServiceId>,
    queued: BTreeSet<ServiceId>,
    /// Services with tasks that fit nowhere: looked at whenever room appears.
    waiting_for_room: BTreeSet<ServiceId>,
}

impl Dirty {
    pub(super) fn mark(&mut self, service: ServiceId) {
        if self.queued.insert(service) {
            self.queue.push_back(service);
        }
    }

    /// Every service that is not gone.
    pub(super) fn mark_all(&mut self, cluster: &Cluster) {
        for service in cluster.services().filter(|service| service.status != ServiceStatus::Deleted) {
            self.mark(service.id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<ServiceId> {
        let service = self.queue.pop_front()?;
        self.queued.remove(&service);
        Some(service)
    }

    /// What the last look at a service left undone.
    pub(super) fn note_held(&mut self, service: ServiceId, held: &[Held]) {
        if held.iter().any(|held| matches!(held.reason, HeldReason::NoNodeFits(_))) {
            self.waiting_for_room.insert(service);
        } else {
            self.waiting_for_room.remove(&service);
        }
    }

    /// Marks what a transaction touches. `before`: the image that it is about to be applied to.
    pub(super) fn note(&mut self, before: &Cluster, transaction: &Transaction) {
        let mut room = false;
        for change in &transaction.changes {
            match change {
                Change::Service(row) => self.mark(row.id),
                Change::ServiceRevision(row) => self.mark(row.service),
                Change::Deployment(row) => self.mark(row.service),
                Change::Task(row) => {
                    self.mark(row.service);
                    let held = before.task(row.id).is_some_and(|task| task.occupies_node());
                    room |= held && !row.occupies_node();
                }
                Change::Node(row) => {
                    if before.node(row.id).is_none_or(|old| matters(old, row)) {
                        self.mark_node(before, row.id);
                        room = true;
                    }
                }
                Change::Remove(Key::Task(id)) => {
                    if let Some(task) = before.task(*id) {
                        self.mark(task.service);
                        room |= task.occupies_node();
                    }
                }
                Change::Remove(Key::Node(id)) => self.mark_node(before, *id),
                Change::Remove(Key::Deployment(id)) => {
                    if let Some(deployment) = before.deployment(*id) {
                        self.mark(deployment.service);
                    }
                }
                Change::Namespace(_)
                | Change::Credential(_)
                | Change::EnrollmentToken(_)
                | Change::Receipt(_)
                | Change::User(_)
                | Change::ApiToken(_)
                | Change::Remove(_) => {}
            }
        }
        if room {
            let waiting: Vec<_> = self.waiting_for_room.iter().copied().collect();
            waiting.into_iter().for_each(|service| self.mark(service));
        }
    }

    fn mark_node(&mut self, cluster: &Cluster, node: NodeId) {
        for task in cluster.tasks_on_node(node) {
            self.mark(task.service);
        }
    }
}

/// Whether a change of a node bears on where tasks run.
fn matters(old: &Node, new: &Node) -> bool {
    old.status != new.status
        || old.cordoned != new.cordoned
        || old.engine_trouble != new.engine_trouble
        || old.drain_by != new.drain_by
        || old.allocatable != new.allocatable
        || old.labels != new.labels
        || old.incarnation != new.incarnation
}
