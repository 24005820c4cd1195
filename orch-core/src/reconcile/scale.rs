//! Fewer slots: which of the tasks go.

use super::pass::{Handover, Pass};
use super::plan::Step;
use crate::cluster::Change;
use crate::id::TaskId;
use crate::task::{Slot, StopCause};
use std::sync::Arc;

/// Stops the tasks of slots above the replica count, the highest first. One that serves is not wasted while a lower slot has
/// none that does: it moves there, and the lower slot's own task goes instead. A stateful slot is not interchangeable.
pub(super) fn shrink(pass: &mut Pass<'_, '_>) {
    let last = Slot(pass.service.spec.replicas);
    let surplus = pass.slots.iter().rev().take_while(|(slot, _)| *slot > last);
    let surplus: Vec<(Slot, TaskId, bool, bool)> = surplus
        .flat_map(|(slot, tasks)| tasks.active.iter().map(move |replica| (slot, replica)))
        .map(|(slot, replica)| (slot, replica.task.id, replica.is_available(), pass.is_good(replica)))
        .collect();
    if surplus.is_empty() {
        return;
    }
    let mut donors: Vec<_> = surplus.iter().filter(|(_, _, available, _)| *available).collect();
    // Taken from the end: first what nothing will replace soon, then by slot, the lowest first.
    donors.sort_by_key(|(slot, id, _, good)| (*good, std::cmp::Reverse(*slot), *id));
    if pass.handover() == Handover::OneOwner {
        donors.clear();
    }
    for slot in pass.wanted_slots() {
        let Some(tasks) = pass.slots.get(slot) else { continue };
        if tasks.finished || tasks.active.iter().any(|replica| replica.is_available()) {
            continue;
        }
        let idle: Vec<TaskId> = tasks.active.iter().map(|replica| replica.task.id).collect();
        let Some((from, id, ..)) = donors.pop() else { break };
        for id in idle {
            pass.stop(slot, id, StopCause::Surplus);
        }
        move_task(pass, *from, slot, *id);
    }
    for (slot, id, ..) in surplus {
        if pass.is_full() {
            return;
        }
        pass.stop(slot, id, StopCause::Surplus);
    }
}

fn move_task(pass: &mut Pass<'_, '_>, from: Slot, to: Slot, id: TaskId) {
    let Some(mut replica) = pass.slots.get_mut(from).take_active(id) else { return };
    let task = Arc::make_mut(&mut replica.task);
    task.slot = to;
    task.updated_at = pass.ctx.now;
    let row = Arc::clone(&replica.task);
    pass.slots.get_mut(to).active.push(replica);
    pass.plan.steps.push(Step::Move { from, to });
    pass.put(Change::Task(row));
}
