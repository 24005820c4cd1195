//! What the control plane is told must be so on the machines, and what it decides must heed what it was told.

use std::sync::Arc;

use orch_core::cluster::{Change, Cluster, Committed};
use orch_core::node::NodeStatus;
use orch_core::task::{Health, Task, TaskStatus};

use crate::world::World;

/// Holds one transaction, and the image before it, against the machines.
///
/// # Errors
/// What is not so.
pub(crate) fn check(before: &Cluster, committed: &Committed, world: &World) -> Result<(), String> {
    committed.transaction.changes.iter().try_for_each(|change| match change {
        Change::Task(row) => {
            let was = before.task(row.id);
            placed_where_it_may(before, was, row)?;
            said_truly(before, was, row, world)
        }
        _ => Ok(()),
    })
}

/// 5: a node that is being emptied, cordoned or away gets no new task.
fn placed_where_it_may(before: &Cluster, was: Option<&Arc<Task>>, row: &Task) -> Result<(), String> {
    if was.is_some_and(|was| was.node.is_some()) {
        return Ok(());
    }
    match row.node.map(|node| before.node(node)) {
        Some(Some(node)) if node.status != NodeStatus::Ready || node.cordoned => {
            Err(format!("5: {} was placed on {}, which takes no new tasks", row.id, node.name))
        }
        Some(None) => Err(format!("4: {} was placed on a node that is not there", row.id)),
        _ => Ok(()),
    }
}

/// A task that is said to run was started, and one that is said to be healthy answered a check.
fn said_truly(before: &Cluster, was: Option<&Arc<Task>>, row: &Task, world: &World) -> Result<(), String> {
    let TaskStatus::Running(health) = row.status else { return Ok(()) };
    if was.is_some_and(|was| was.status == row.status && was.attempt == row.attempt) {
        return Ok(());
    }
    let name = row.node.and_then(|node| before.node(node)).map(|node| &node.name);
    let Some(node) = world.nodes.iter().find(|node| Some(&node.name) == name) else { return Ok(()) };
    if !node.seen.has_started(row.id, row.attempt) {
        return Err(format!("attempt {} of {} is said to run, and never was started", row.attempt, row.id));
    }
    let answered = row.ports.iter().any(|port| node.checks.has_succeeded(port.host_port.get()));
    if health == Health::Healthy && !answered {
        return Err(format!("{} is said to be healthy, and never answered a check", row.id));
    }
    Ok(())
}
