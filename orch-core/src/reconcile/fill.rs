//! Slots without a task get one; tasks without a node get theirs, once something fits.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lost::is_reachable;
use super::pass::{Handover, Pass, Wanted};
use super::plan::HeldReason;
use super::restart::{Heritage, heritage};
use super::slots::version_of_slot;
use crate::id::{NodeId, TaskId};
use crate::schedule::explain::same_reason;
use crate::service::Version;
use crate::task::Slot;

/// How soon a look is taken again where nothing fits. Room is made by other services and by nodes, which wake this one; this
/// is for what they miss.
const NO_NODE_FITS_RETRY: Duration = Duration::from_secs(30);

/// A slot that wants a node.
struct Want {
    slot: Slot,
    /// A task that waits already.
    pending: Option<TaskId>,
    heritage: Heritage,
}

/// Fills every wanted slot that has no task, and places every task that has no node.
pub(super) fn fill(pass: &mut Pass<'_, '_>) {
    // Equal tasks are placed together.
    let mut groups: BTreeMap<(Option<NodeId>, Version), Vec<Want>> = BTreeMap::new();
    let mut room = pass.room_for_tasks();
    for slot in pass.wanted_slots() {
        if let Some((version, want)) = want(pass, slot) {
            if want.pending.is_none() {
                if room == 0 {
                    break;
                }
                room -= 1;
            }
            groups.entry((want.heritage.avoid, version)).or_default().push(want);
        }
    }
    for ((avoid, version), wants) in groups {
        let Some(wanted) = pass.version(version) else { continue };
        place(pass, &wanted, wants, avoid);
    }
}

/// What a slot wants, and of which version.
fn want(pass: &mut Pass<'_, '_>, slot: Slot) -> Option<(Version, Want)> {
    let version = version_for(pass, slot);
    let Some(tasks) = pass.slots.get(slot) else {
        return Some((version, Want { slot, pending: None, heritage: Heritage::default() }));
    };
    if tasks.finished {
        return None;
    }
    match tasks.active.as_slice() {
        [] => {}
        active => {
            let pending = active.iter().map(|replica| &replica.task).find(|task| task.node.is_none())?;
            let heritage = Heritage { failures: pending.failures_before, ..Heritage::default() };
            return Some((pending.version, Want { slot, pending: Some(pending.id), heritage }));
        }
    }
    if pass.handover() == Handover::OneOwner
        && let Some((task, _)) = tasks.stopping.first()
    {
        let reachable = is_reachable(pass, task);
        let reason = if reachable { HeldReason::Stopping } else { HeldReason::StatefulNodeLost };
        pass.hold(slot, reason);
        return None;
    }
    let heritage = heritage(pass, tasks, version);
    if let Some(until) = heritage.not_before {
        pass.hold(slot, HeldReason::BackOff { until, failures: heritage.failures });
        pass.plan.look_again_by(until);
        return None;
    }
    Some((version, Want { slot, pending: None, heritage }))
}

/// The version that a new task of a slot has: the service's. While a rollout is paused, each slot keeps what it had, and a new
/// slot gets what the rollout came from, so that what failed does not spread (M28, M29); of a paused rollback, what it goes to.
fn version_for(pass: &Pass<'_, '_>, slot: Slot) -> Version {
    let target = pass.wanted.version;
    let Some(deployment) = pass.deployment.as_ref().filter(|_| pass.is_paused()) else { return target };
    let proven = if deployment.is_rollback() { Some(target) } else { deployment.from_version };
    let before = pass.slots.get(slot).and_then(version_of_slot).or(proven);
    before.filter(|version| pass.version(*version).is_some()).unwrap_or(target)
}

fn place(pass: &mut Pass<'_, '_>, wanted: &Wanted, wants: Vec<Want>, avoid: Option<NodeId>) {
    let avoid: Vec<NodeId> = avoid.into_iter().collect();
    let solution = pass.solve(wanted, wants.len(), &avoid);
    let reason = solution.unplaced.unwrap_or_else(|| "the scheduler gave no reason".to_owned());
    let mut placements = solution.placements.into_iter();
    for Want { slot, pending, heritage } in wants {
        match (placements.next(), pending) {
            (Some(placement), Some(id)) => pass.assign(slot, id, placement),
            (Some(placement), None) => pass.create(slot, wanted, Ok(placement), heritage.failures),
            (None, Some(id)) => {
                let tasks = pass.slots.get(slot);
                let known = tasks.and_then(|tasks| tasks.active.iter().find(|r| r.task.id == id));
                let known = known.and_then(|replica| replica.task.note.as_deref()).unwrap_or_default();
                if !same_reason(known, &reason) {
                    pass.explain(slot, id, reason.clone());
                }
                hold_unplaced(pass, slot, reason.clone());
            }
            (None, None) => {
                let stopping = pass
                    .slots
                    .get(slot)
                    .is_some_and(|tasks| tasks.stopping.iter().any(|(task, _)| is_reachable(pass, task)));
                if stopping {
                    // What it stands on is about to be free.
                    pass.hold(slot, HeldReason::Stopping);
                } else {
                    pass.create(slot, wanted, Err(reason.clone()), heritage.failures);
                    hold_unplaced(pass, slot, reason.clone());
                }
            }
        }
    }
}

/// Holds a slot for which nothing fits.
pub(super) fn hold_unplaced(pass: &mut Pass<'_, '_>, slot: Slot, reason: String) {
    pass.hold(slot, HeldReason::NoNodeFits(reason));
    let retry = pass.now() + NO_NODE_FITS_RETRY;
    pass.plan.look_again_by(retry);
}
