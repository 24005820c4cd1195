//! Replacements, for rollouts and drains alike: one mechanism and one budget of disruption (M29).
//!
//! A task is *old* if it is outdated or its node is being emptied. An old task that serves goes only if enough others serve
//! in the state that is being committed (M26); if its node is being emptied, only once its own replacement serves.

use super::fill::hold_unplaced;
use super::pass::{Handover, Pass};
use super::plan::HeldReason;
use super::prepare::may_make_room;
use super::restart::{Heritage, heritage};
use super::slots::{Place, Replica, SlotTasks, Wait, age_key};
use crate::cluster::{Change, Key};
use crate::id::{NodeId, TaskId};
use crate::schedule::Placement;
use crate::task::{Slot, StopCause};

/// How many tasks must go on serving, and how many may be stopped.
#[derive(Clone, Copy, Debug)]
struct Budget {
    available: usize,
    replicas: usize,
    max_unavailable: usize,
}

impl Budget {
    fn of(pass: &Pass<'_, '_>) -> Self {
        let policy = pass.policy();
        let least = match pass.handover() {
            // With neither surge nor a gap allowed, nothing could ever be replaced.
            Handover::StartFirst => u32::from(policy.max_surge == 0),
            Handover::StopFirst | Handover::OneOwner => 1,
        };
        Self {
            available: pass.slots.available(),
            replicas: pass.replicas(),
            max_unavailable: policy.max_unavailable.max(least) as usize,
        }
    }

    /// Whether a serving task may be taken out.
    const fn is_left(&self) -> bool {
        self.available + self.max_unavailable > self.replicas
    }

    /// Takes one serving task out, if enough are left.
    fn spend(&mut self) -> bool {
        let enough = self.is_left();
        if enough {
            self.available = self.available.saturating_sub(1);
        }
        enough
    }

    fn held(&self) -> HeldReason {
        let Self { available, replicas, max_unavailable } = self;
        HeldReason::Budget(format!("{available} of {replicas} serve, {max_unavailable} may be missing"))
    }
}

/// Stops what has been replaced, what is one too many in its slot, and outdated tasks that do not serve anyway.
pub(super) fn retire(pass: &mut Pass<'_, '_>) {
    let mut budget = Budget::of(pass);
    let is_finished = |slot: &Slot| pass.slots.get(*slot).is_some_and(|tasks| tasks.finished);
    // What a drain takes, it takes whatever the budget says: so that comes first, and nothing is stopped that counts on it.
    let (finished, others): (Vec<_>, Vec<_>) = pass.wanted_slots().partition(is_finished);
    for slot in others.into_iter().chain(finished) {
        if pass.is_full() {
            return;
        }
        let Some(tasks) = pass.slots.get(slot) else { continue };
        match tasks.active.as_slice() {
            [] => {}
            _ if tasks.finished => retire_finished(pass, slot, &tasks.clone(), &mut budget),
            [only] if pass.is_up_to_date(&only.task) => {}
            _ => retire_slot(pass, slot, &tasks.clone(), &mut budget),
        }
    }
}

fn retire_slot(pass: &mut Pass<'_, '_>, slot: Slot, tasks: &SlotTasks, budget: &mut Budget) {
    let kept = best(pass, tasks);
    let kept_is_good = pass.is_good(kept);
    let one_owner = pass.handover() == Handover::OneOwner;
    for replica in &tasks.active {
        let outdated = !pass.is_up_to_date(&replica.task);
        let away = matches!(replica.place, Place::Away(_) | Place::Lost);
        let stops_by_itself = matches!(replica.place, Place::Away(Wait::Stopping(_)));
        if (one_owner && away) || stops_by_itself {
            continue; // `lost` says what it waits for
        }
        if replica.task.id == kept.task.id {
            // Nothing better is there. If it is outdated and serves no one, it makes way at once.
            if outdated && !replica.is_available() && (!one_owner || replica.task.node.is_none()) {
                pass.stop(slot, replica.task.id, StopCause::Outdated);
            }
            continue;
        }
        let cause = match replica.place {
            _ if outdated => StopCause::Outdated,
            Place::Leaving => pass.leaves_for(&replica.task),
            _ => StopCause::Surplus,
        };
        let waits = kept_is_good && !kept.is_available();
        if waits && (replica.is_available() || matches!(cause, StopCause::Drained | StopCause::Moved)) {
            pass.hold(slot, HeldReason::ReplacementNotHealthy(describe(pass, kept)));
        } else if !replica.is_available() {
            pass.stop(slot, replica.task.id, cause);
        } else if (replica.place == Place::Leaving && kept_is_good) || budget.spend() {
            if replica.place == Place::Leaving && kept_is_good {
                budget.available = budget.available.saturating_sub(1);
            }
            pass.stop(slot, replica.task.id, cause);
        } else {
            pass.hold(slot, budget.held());
        }
    }
}

/// The old tasks of a slot whose new one came to its end as it should.
fn retire_finished(pass: &mut Pass<'_, '_>, slot: Slot, tasks: &SlotTasks, budget: &mut Budget) {
    for replica in &tasks.active {
        if !replica.is_available() || budget.spend() {
            pass.stop(slot, replica.task.id, StopCause::Outdated);
        } else {
            pass.hold(slot, budget.held());
        }
    }
}

/// The task of a slot that stays, whatever goes: a good one before an old one, one that serves before one that does not, the
/// longest there before the others.
fn best<'t>(pass: &Pass<'_, '_>, tasks: &'t SlotTasks) -> &'t Replica {
    let key = |replica: &&Replica| {
        let outdated = !pass.is_up_to_date(&replica.task);
        let leaving = replica.place == Place::Leaving;
        (outdated || leaving, !replica.is_available(), outdated, leaving, age_key(&replica.task))
    };
    tasks.active.iter().min_by_key(key).expect("only slots with tasks are looked at")
}

/// A slot whose only task is old.
struct Old {
    slot: Slot,
    task: TaskId,
    available: bool,
    /// Up to date, but its node is being emptied.
    drain: bool,
    /// What its replacement starts with: the one before it may have failed.
    heritage: Heritage,
}

/// Begins as many replacements as the budget allows.
pub(super) fn proceed(pass: &mut Pass<'_, '_>) {
    let (mut olds, mut waiting) = (Vec::new(), Vec::new());
    for slot in pass.wanted_slots() {
        let Some(tasks) = pass.slots.get(slot) else { continue };
        let [old] = tasks.active.as_slice() else { continue };
        let unreachable = matches!(old.place, Place::Nowhere | Place::Away(_) | Place::Lost);
        if pass.is_good(old) || unreachable || tasks.finished {
            continue;
        }
        let drain = pass.is_up_to_date(&old.task);
        let successor = if pass.is_paused() { old.task.version } else { pass.wanted.version };
        let heritage = heritage(pass, tasks, successor);
        let old = Old { slot, task: old.task.id, available: old.is_available(), drain, heritage };
        match old.heritage.not_before {
            Some(until) => waiting.push((slot, until, heritage.failures)),
            None => olds.push(old),
        }
    }
    for (slot, until, failures) in waiting {
        pass.hold(slot, HeldReason::BackOff { until, failures });
        pass.plan.look_again_by(until);
    }
    if olds.is_empty() {
        return;
    }
    // Someone waits for a drain.
    olds.sort_by_key(|old| (!old.drain, old.slot));
    if pass.handover() == Handover::OneOwner { hand_over_slots(pass, olds) } else { start_beside(pass, olds) }
}

/// Starts replacements beside old tasks as far as surge allows, and in their stead as far as the gap allows.
fn start_beside(pass: &mut Pass<'_, '_>, olds: Vec<Old>) {
    let mut budget = Budget::of(pass);
    let stop_first = pass.handover() == Handover::StopFirst;
    let surge = if stop_first { 0 } else { pass.policy().max_surge as usize };
    // Slots without a task are owed one, so what counts against surge is the second task of a slot.
    let mut extra: usize = pass.slots.iter().map(|(_, tasks)| tasks.active.len().saturating_sub(1)).sum();
    let mut begun: Vec<(Old, bool)> = Vec::new();
    for old in olds {
        if begun.len() >= pass.room_for_tasks() {
            break;
        }
        let limit = if old.drain { surge.max(1) } else { surge };
        if extra < limit {
            extra += 1;
            begun.push((old, true));
        } else if !old.drain && budget.is_left() && !may_go(pass, &old) {
            // Held for its image; what others may take of the budget stays.
        } else if !old.drain && (!old.available || budget.spend()) {
            begun.push((old, false));
        } else {
            let reason = match old.drain {
                true => HeldReason::Budget(format!("{extra} more than wanted already")),
                false => budget.held(),
            };
            pass.hold(old.slot, reason);
        }
    }
    let wanted = pass.wanted.clone();
    let same = |pass: &Pass<'_, '_>, old: &Old| pass.is_paused() && paused_version(pass, old).is_some();
    let (paused, current): (Vec<_>, Vec<_>) = begun.into_iter().partition(|(old, _)| same(pass, old));
    for (old, _) in paused {
        let Some(wanted) = paused_version(pass, &old).and_then(|version| pass.version(version)) else {
            continue;
        };
        let solution = pass.solve(&wanted, 1, &[]);
        match solution.placements.into_iter().next() {
            Some(placement) => pass.create(old.slot, &wanted, Ok(placement), old.heritage.failures),
            None => hold_unplaced(pass, old.slot, solution.unplaced.unwrap_or_default()),
        }
    }
    let solution = pass.solve(&wanted, current.len(), &[]);
    let reason = solution.unplaced.unwrap_or_default();
    let mut placements = solution.placements.into_iter();
    let mut unplaced: Vec<Old> = Vec::new();
    for (old, beside) in current {
        match placements.next() {
            Some(placement) => begin(pass, &old, beside, placement),
            None if old.drain => hold_unplaced(pass, old.slot, reason.clone()),
            None if beside && budget.is_left() && !may_go(pass, &old) => {}
            // The budget was spent on it already, unless it was to be started beside.
            None if beside && old.available && !budget.spend() => {
                hold_unplaced(pass, old.slot, reason.clone())
            }
            None => unplaced.push(old),
        }
    }
    make_room(pass, unplaced);
}

/// Whether an old task may go before its successor is there, as far as images go. One that serves nobody may; and one of a drained
/// node is succeeded elsewhere.
fn may_go(pass: &mut Pass<'_, '_>, old: &Old) -> bool {
    !old.available || old.drain || may_make_room(pass, old.slot, old.task)
}

fn begin(pass: &mut Pass<'_, '_>, old: &Old, beside: bool, placement: Placement) {
    if !beside {
        pass.stop(old.slot, old.task, StopCause::Outdated);
    }
    let wanted = pass.wanted.clone();
    pass.create(old.slot, &wanted, Ok(placement), old.heritage.failures);
    if beside {
        let name = placement_name(pass, old.slot);
        pass.hold(old.slot, HeldReason::ReplacementNotHealthy(name));
    }
}

/// Stops old tasks whose replacement fits only once they are gone, and only if it fits then (M17, M32).
fn make_room(pass: &mut Pass<'_, '_>, olds: Vec<Old>) {
    if olds.is_empty() {
        return;
    }
    let mut without = pass.draft.clone();
    for old in &olds {
        without.apply_change(&Change::Remove(Key::Task(old.task)));
    }
    let wanted = pass.wanted.clone();
    let solution = pass.solve_in(&without, &wanted, olds.len(), &[]);
    let reason = solution.unplaced.unwrap_or_default();
    let mut places: Vec<NodeId> = solution.placements.into_iter().map(|placement| placement.node).collect();
    // A place on an old task's own node is there because that task goes, so it is that task which goes.
    let (makes_room, others): (Vec<_>, Vec<_>) = olds.into_iter().partition(|old| {
        let node = pass.draft.task(old.task).and_then(|task| task.node);
        let at = places.iter().position(|place| Some(*place) == node);
        at.map(|at| places.remove(at)).is_some()
    });
    let (moves, stays): (Vec<_>, Vec<_>) =
        others.into_iter().enumerate().partition(|(i, _)| *i < places.len());
    for old in makes_room.into_iter().chain(moves.into_iter().map(|(_, old)| old)) {
        let leaves = pass.draft.task(old.task).map(|task| pass.leaves_for(task));
        let cause = leaves.filter(|_| old.drain).unwrap_or(StopCause::Outdated);
        pass.stop(old.slot, old.task, cause);
        pass.hold(old.slot, HeldReason::Stopping);
    }
    for (_, old) in stays {
        hold_unplaced(pass, old.slot, reason.clone());
    }
}

/// Slots with one owner: the old task is stopped, and its successor made once it is known to be at its end.
fn hand_over_slots(pass: &mut Pass<'_, '_>, olds: Vec<Old>) {
    let mut budget = Budget::of(pass);
    let mut begun = Vec::new();
    for old in olds {
        if budget.is_left() && !may_go(pass, &old) {
            continue;
        }
        if !old.available || budget.spend() {
            begun.push(old);
        } else {
            pass.hold(old.slot, budget.held());
        }
    }
    make_room(pass, begun);
}

/// While a rollout is paused, a drained task is replaced by one of its own version.
fn paused_version(pass: &Pass<'_, '_>, old: &Old) -> Option<crate::service::Version> {
    let tasks = pass.slots.get(old.slot)?;
    let replica = tasks.active.iter().find(|replica| replica.task.id == old.task)?;
    Some(replica.task.version)
}

fn placement_name(pass: &Pass<'_, '_>, slot: Slot) -> String {
    let newest = pass.slots.get(slot).and_then(|tasks| tasks.active.last());
    newest.map(|replica| describe(pass, replica)).unwrap_or_default()
}

/// `web/1 on b, starting`.
fn describe(pass: &Pass<'_, '_>, replica: &Replica) -> String {
    let task = &replica.task;
    let name = format!("{}/{}", pass.service.spec.name, task.slot);
    let status = task.status.as_str();
    match task.node.and_then(|node| pass.node_name(node)) {
        Some(node) => format!("{name} on {node}: {status}"),
        None => format!("{name}: {status}"),
    }
}
