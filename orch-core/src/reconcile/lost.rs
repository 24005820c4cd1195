//! What the fate of nodes does to their tasks.

use super::pass::{Handover, Pass};
use super::plan::{HeldReason, Step};
use super::slots::{Place, Replica, place_of};
use crate::cluster::{Change, Key};
use crate::id::TaskId;
use crate::task::{Slot, StopCause};

/// Takes out the tasks of nodes that were removed or revoked: nothing there counts any more, and no one will report on it (M36).
/// To remove or revoke a node is to say that it is dead; that holds for stateful services, too.
pub(super) fn forget_tasks_of_gone_nodes(pass: &mut Pass<'_, '_>) {
    let mut gone: Vec<(Slot, TaskId, bool)> = Vec::new();
    for (slot, tasks) in pass.slots.iter() {
        let active = tasks.active.iter().filter(|r| r.place == Place::Gone).map(|r| (slot, r.task.id, true));
        let stopping = tasks.stopping.iter().filter(|(_, place)| *place == Place::Gone);
        let missing = |node| pass.draft.node(node).is_none();
        let ended = tasks.ended.iter().filter(|task| task.node.is_some_and(missing));
        gone.extend(active);
        gone.extend(stopping.map(|(task, _)| task).chain(ended).map(|task| (slot, task.id, false)));
    }
    for (slot, id, active) in gone {
        if pass.is_full() {
            return;
        }
        if active {
            pass.stop(slot, id, StopCause::NodeLost);
        } else {
            let tasks = pass.slots.get_mut(slot);
            tasks.stopping.retain(|(task, _)| task.id != id);
            tasks.ended.retain(|task| task.id != id);
            pass.plan.steps.push(Step::Forget { slot });
            pass.put(Change::Remove(Key::Task(id)));
        }
    }
}

/// Gives up tasks whose node is lost, unless only one may own the slot: then a person must say that the node is dead (M40).
pub(super) fn give_up_lost_tasks(pass: &mut Pass<'_, '_>) {
    let one_owner = pass.handover() == Handover::OneOwner;
    let mut unreachable: Vec<(Slot, TaskId, Place)> = Vec::new();
    for (slot, tasks) in pass.slots.iter() {
        let lost = |replica: &&Replica| matches!(replica.place, Place::Lost | Place::Away(_));
        unreachable.extend(tasks.active.iter().filter(lost).map(|r| (slot, r.task.id, r.place)));
    }
    for (slot, id, place) in unreachable {
        match place {
            Place::Away(wait) => {
                pass.hold(slot, wait.reason());
                if let Some(until) = wait.until() {
                    pass.plan.look_again_by(until);
                }
            }
            Place::Lost if one_owner => pass.hold(slot, HeldReason::StatefulNodeLost),
            Place::Lost if !pass.is_full() => pass.stop(slot, id, StopCause::NodeLost),
            _ => {}
        }
    }
}

/// Whether a task on its way out may still run: stopping on a node that answers, or that may come back.
pub(super) fn is_reachable(pass: &Pass<'_, '_>, task: &crate::task::Task) -> bool {
    matches!(place_of(&pass.draft, &pass.service, task, pass.ctx), Place::Here | Place::Leaving)
}
