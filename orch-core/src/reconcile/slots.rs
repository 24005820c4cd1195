//! [`Slots`]: the tasks of a service by slot, and what can be said of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plan::HeldReason;
use crate::cluster::Cluster;
use crate::command::Ctx;
use crate::id::TaskId;
use crate::node::{NodeStatus, OfflineCause};
use crate::service::{Service, TaskTemplate, Version};
use crate::task::{Health, Slot, StopCause, Task, TaskStatus};
use crate::time::Timestamp;

/// What has become of a task's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has none yet.
    Nowhere,
    /// The node is there.
    Here,
    /// The node is being emptied, or the task is to move to another one.
    Leaving,
    /// The node is offline, and waited for.
    Away(Wait),
    /// The node is offline, and not waited for: what runs there is unknown.
    Lost,
    /// The node was removed or revoked: nothing on it counts.
    Gone,
}

/// What a node that is offline is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// It said goodbye, and may come back until then.
    Goodbye(Timestamp),
    /// Too many fell silent with it: until then, or until further notice.
    Many(Option<Timestamp>),
    /// The control plane could not have heard it before.
    Unheard(Timestamp),
    /// The service says how long.
    Patience(Timestamp),
    /// The agent stops the task by itself; by then that must have happened.
    Stopping(Timestamp),
    /// The service says that nothing takes its place.
    Kept,
}

impl Wait {
    /// Until when at the latest; `None`: nobody knows.
    pub(super) const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Goodbye(until) | Self::Unheard(until) | Self::Patience(until) | Self::Stopping(until) => {
                Some(until)
            }
            Self::Many(until) => until,
            Self::Kept => None,
        }
    }

    pub(super) const fn reason(self) -> HeldReason {
        match self {
            Self::Goodbye(until) => HeldReason::NodeAway { until },
            Self::Many(None) => HeldReason::ManySilent,
            Self::Many(Some(until)) => HeldReason::ManySilentUntil { until },
            Self::Unheard(until) => HeldReason::NotHeardYet { until },
            Self::Patience(until) => HeldReason::NodeSilent { until },
            Self::Stopping(until) => HeldReason::StopsByItself { until },
            Self::Kept => HeldReason::Kept,
        }
    }
}

/// Whether a task serves, as a rollout sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Availability {
    /// It does.
    Available,
    /// It runs, and counts from then on if it goes on running.
    From(Timestamp),
    /// It does not.
    No,
}

/// A task that is wanted and not at its end.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    pub(super) task: Arc<Task>,
    pub(super) place: Place,
    pub(super) availability: Availability,
}

impl Replica {
    pub(super) fn is_available(&self) -> bool {
        self.availability == Availability::Available
    }
}

/// The tasks of one slot.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotTasks {
    /// Wanted, and not at their end.
    pub(super) active: Vec<Replica>,
    /// On their way out.
    pub(super) stopping: Vec<(Arc<Task>, Place)>,
    /// At their end, in no order.
    pub(super) ended: Vec<Arc<Task>>,
    /// Its last task ended, and is not to be started again.
    pub(super) finished: bool,
}

impl SlotTasks {
    /// The one made last of those that are not wanted any more, or at their end.
    pub(super) fn newest_past(&self) -> Option<&Arc<Task>> {
        self.stopping.iter().map(|(task, _)| task).chain(&self.ended).max_by_key(|task| age_key(task))
    }

    /// Takes a wanted task out.
    pub(super) fn take_active(&mut self, id: TaskId) -> Option<Replica> {
        let at = self.active.iter().position(|replica| replica.task.id == id)?;
        Some(self.active.remove(at))
    }
}

/// Orders tasks by when they were made. A successor may be made at the same time, but counts one failure more.
pub(super) fn age_key(task: &Task) -> (Timestamp, u32, TaskId) {
    (task.created_at, task.failures_before, task.id)
}

/// All tasks of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    by_slot: BTreeMap<Slot, SlotTasks>,
}

impl Slots {
    /// As they are in `cluster`. `min_healthy`: how long a task without a health check must run to count.
    pub(super) fn of(cluster: &Cluster, service: &Service, min_healthy: Duration, ctx: &Ctx<'_>) -> Self {
        let now = ctx.now;
        let mut checked = BTreeMap::new();
        let mut by_slot: BTreeMap<Slot, SlotTasks> = BTreeMap::new();
        for task in cluster.tasks_of_service(service.id) {
            let slot = by_slot.entry(task.slot).or_default();
            let task = Arc::clone(task);
            if task.status.is_terminal() {
                slot.ended.push(task);
                continue;
            }
            let place = place_of(cluster, service, &task, ctx);
            if task.is_active() {
                let checked = *checked.entry(task.version).or_insert_with(|| has_check(cluster, &task));
                let availability = availability(&task, place, checked, min_healthy, now);
                slot.active.push(Replica { task, place, availability });
            } else {
                slot.stopping.push((task, place));
            }
        }
        Self { by_slot }
    }

    /// One slot; empty if nothing ever was there.
    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut SlotTasks {
        self.by_slot.entry(slot).or_default()
    }

    /// One slot, if anything is or was there.
    pub(super) fn get(&self, slot: Slot) -> Option<&SlotTasks> {
        self.by_slot.get(&slot)
    }

    /// The slots in which anything is or was, lowest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Slot, &SlotTasks)> {
        self.by_slot.iter().map(|(slot, tasks)| (*slot, tasks))
    }

    /// Every wanted task.
    pub(super) fn active(&self) -> impl Iterator<Item = &Replica> {
        self.by_slot.values().flat_map(|slot| &slot.active)
    }

    /// How many tasks serve.
    pub(super) fn available(&self) -> usize {
        self.active().filter(|replica| replica.is_available()).count()
    }

    /// How many of the slots are finished.
    pub(super) fn finished(&self) -> usize {
        self.by_slot.values().filter(|slot| slot.finished).count()
    }
}

/// What has become of a task's node.
pub(super) fn place_of(cluster: &Cluster, service: &Service, task: &Task, ctx: &Ctx<'_>) -> Place {
    let Some(node) = task.node else { return Place::Nowhere };
    match cluster.node(node).map(|node| node.status) {
        None | Some(NodeStatus::Revoked) => Place::Gone,
        Some(NodeStatus::Ready) if task.moves_until.is_some_and(|until| ctx.now < until) => Place::Leaving,
        Some(NodeStatus::Ready) => Place::Here,
        Some(NodeStatus::Draining) => Place::Leaving,
        Some(NodeStatus::Offline { since, cause, draining }) => {
            let template = match cluster.revision_of(task) {
                Some(revision) => &revision.spec.template,
                None => &service.spec.template,
            };
            let by_spec = by_spec(template, since);
            waited_for(since, cause, draining, by_spec, ctx).map_or(Place::Lost, Place::Away)
        }
    }
}

/// What the spec that a task was made from says of its node being offline.
fn by_spec(template: &TaskTemplate, since: Timestamp) -> Wait {
    let policy = template.on_disconnect;
    match policy.replaced_after(&template.stop).map(|after| since + after) {
        None => Wait::Kept,
        Some(until) if policy.stop_after().is_some() => Wait::Stopping(until),
        Some(until) => Wait::Patience(until),
    }
}

/// What a node that is offline is waited for, if it still is: the longest of all there is to wait for.
fn waited_for(
    since: Timestamp,
    cause: OfflineCause,
    draining: bool,
    by_spec: Wait,
    ctx: &Ctx<'_>,
) -> Option<Wait> {
    let by_cause = match cause {
        OfflineCause::Shutdown if draining => None,
        OfflineCause::Shutdown => Some(Wait::Goodbye(since + ctx.policy.shutdown_grace)),
        OfflineCause::SilentWithMany { replace_at } => Some(Wait::Many(replace_at)),
        OfflineCause::Silent | OfflineCause::GivenUp => None,
    };
    // While nobody listened nobody could come back (M42); but what a person says of a node stands.
    let unheard = (cause != OfflineCause::GivenUp).then_some(Wait::Unheard(ctx.hears_from));
    let waits = by_cause.into_iter().chain(unheard).chain([by_spec]);
    let waits = waits.filter(|wait| wait.until().is_none_or(|until| ctx.now < until));
    waits.max_by_key(|wait| (*wait == Wait::Kept, wait.until().is_none(), wait.until()))
}

fn has_check(cluster: &Cluster, task: &Task) -> bool {
    cluster.revision_of(task).is_some_and(|revision| revision.spec.template.health.is_some())
}

fn availability(
    task: &Task,
    place: Place,
    checked: bool,
    min_healthy: Duration,
    now: Timestamp,
) -> Availability {
    match (&task.status, place) {
        (TaskStatus::Running(Health::Healthy), Place::Here | Place::Leaving) => Availability::Available,
        (TaskStatus::Running(Health::Unchecked), Place::Here | Place::Leaving) if !checked => {
            let from = task.status_since + min_healthy;
            if from <= now { Availability::Available } else { Availability::From(from) }
        }
        _ => Availability::No,
    }
}

/// Which version a slot had last. What was taken back beside another task of the slot is none that it had.
pub(super) fn version_of_slot(slot: &SlotTasks) -> Option<Version> {
    let taken_back =
        |task: &&Arc<Task>| matches!(task.stop_cause, Some(StopCause::Surplus | StopCause::Outdated));
    let past = || slot.stopping.iter().map(|(task, _)| task).chain(&slot.ended);
    let had = || past().filter(|task| !taken_back(task)).max_by_key(|task| age_key(task));
    let active = slot.active.iter().map(|replica| &replica.task).max_by_key(|task| age_key(task));
    active.or_else(had).or_else(|| slot.newest_past()).map(|task| task.version)
}
