//! How a task is told to go, and how it ends where no node will ever report it.

use super::Ctx;
use crate::cluster::{Cluster, Transaction};
use crate::id::NodeId;
use crate::task::{DesiredStatus, StopCause, Task, TaskStatus};

/// The task as it is once nothing of it is wanted on its node. Without a node there is nothing to wait for: it is gone.
pub(super) fn removing(ctx: &Ctx<'_>, task: &Task, cause: StopCause) -> Task {
    if task.node.is_none() {
        return gone(ctx, task, cause, &cause.to_string());
    }
    Task {
        desired: DesiredStatus::Removed,
        desired_since: ctx.now,
        stop_cause: task.stop_cause.or(Some(cause)),
        updated_at: ctx.now,
        ..task.clone()
    }
}

/// The task as it is once it ended without its node's word. It stays as history, like every task that was removed.
pub(super) fn gone(ctx: &Ctx<'_>, task: &Task, cause: StopCause, note: &str) -> Task {
    let desired_since = if task.desired == DesiredStatus::Removed { task.desired_since } else { ctx.now };
    Task {
        desired: DesiredStatus::Removed,
        desired_since,
        stop_cause: task.stop_cause.or(Some(cause)),
        status: TaskStatus::Removed,
        status_since: ctx.now,
        note: Some(note.to_owned()),
        updated_at: ctx.now,
        finished_at: task.finished_at.or(Some(ctx.now)),
        ..task.clone()
    }
}

/// Ends all tasks of a node that will never report again.
pub(super) fn end_tasks_of_node(
    cluster: &Cluster,
    ctx: &Ctx<'_>,
    transaction: &mut Transaction,
    node: NodeId,
    note: &str,
) {
    for task in cluster.tasks_on_node(node).filter(|task| task.status != TaskStatus::Removed) {
        transaction.put(gone(ctx, task, StopCause::NodeLost, note));
    }
}
