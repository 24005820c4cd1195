//! Nodes and time in a rehearsal: every node that answers does what it is told, at once.

use std::sync::Arc;

use crate::cluster::{Cluster, Transaction};
use crate::deployment::RolloutPolicy;
use crate::id::ServiceId;
use crate::node::NodeStatus;
use crate::reconcile::{Held, HeldReason};
use crate::task::{DesiredStatus, Health, Prepared, Task, TaskStatus};
use crate::time::Timestamp;

/// Tasks of the service that were told to start serve, those told to go are gone. Whether there were any.
pub(super) fn obey(stage: &mut Cluster, service: ServiceId, now: Timestamp) -> bool {
    let mut transaction = Transaction::default();
    for task in stage.tasks_of_service(service) {
        let mut row = Task::clone(task);
        let asked = row.preparation.as_mut().filter(|asked| task.is_active() && asked.answer.is_none());
        if let Some(asked) = asked {
            asked.answer = Some(Prepared::Ready);
            transaction.put(row.clone());
        }
        let Some(status) = next_status(stage, task) else { continue };
        row.status = status;
        row.status_since = now;
        row.updated_at = now;
        if row.status.is_running() {
            row.started_at.get_or_insert(now);
        }
        if row.status.is_terminal() {
            row.finished_at = Some(now);
        }
        transaction.put(row);
    }
    let moved = !transaction.is_empty();
    if moved {
        stage.apply(&transaction);
    }
    moved
}

fn next_status(stage: &Cluster, task: &Arc<Task>) -> Option<TaskStatus> {
    let node = stage.node(task.node?)?;
    if !matches!(node.status, NodeStatus::Ready | NodeStatus::Draining) || task.status.is_terminal() {
        return None;
    }
    if task.desired != DesiredStatus::Running {
        return Some(TaskStatus::Removed);
    }
    let checked = has_check(stage, task);
    match task.status {
        // One that is there and does not serve is not supposed to mend itself.
        TaskStatus::Running(Health::Unhealthy | Health::Healthy) => None,
        TaskStatus::Running(Health::Unchecked) if !checked => None,
        _ if checked => Some(TaskStatus::Running(Health::Healthy)),
        _ => Some(TaskStatus::Running(Health::Unchecked)),
    }
}

fn has_check(stage: &Cluster, task: &Task) -> bool {
    stage.revision_of(task).is_some_and(|revision| revision.spec.template.health.is_some())
}

/// When something changes by time alone: a task has run for long enough to count, or a back-off is over.
pub(super) fn next_moment(
    stage: &Cluster,
    service: ServiceId,
    now: Timestamp,
    policy: &RolloutPolicy,
    held: &[Held],
) -> Option<Timestamp> {
    let maturing = stage.tasks_of_service(service).filter_map(|task| {
        let unchecked = task.status == TaskStatus::Running(Health::Unchecked) && !has_check(stage, task);
        (task.is_active() && unchecked).then(|| task.status_since + policy.min_healthy)
    });
    let backing_off = held.iter().filter_map(|held| match held.reason {
        HeldReason::BackOff { until, .. } => Some(until),
        _ => None,
    });
    maturing.chain(backing_off).filter(|at| *at > now).min()
}
