//! Slots whose task came to an end by itself: finished, or to be filled again after a back-off that the slot's history gives.

use std::sync::Arc;

use super::pass::Pass;
use super::plan::HeldReason;
use super::slots::{Place, SlotTasks, age_key};
use crate::id::{NodeId, TaskId, TypedId as _};
use crate::service::{RestartCondition, ServiceSpec, Version};
use crate::task::{DesiredStatus, FailureKind, Health, Slot, StopCause, Task, TaskStatus};
use crate::time::Timestamp;

/// What the next task of a slot starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Heritage {
    /// How many failed in a row before it.
    pub(super) failures: u32,
    /// When it may be made; `None`: at once.
    pub(super) not_before: Option<Timestamp>,
    /// Where the last one failed for a reason that another node may not have.
    pub(super) avoid: Option<NodeId>,
}

/// Finds the slots whose last task ended, and is not to be started again.
pub(super) fn mark_finished(pass: &mut Pass<'_, '_>) {
    let finished: Vec<Slot> = pass
        .wanted_slots()
        .filter(|slot| pass.slots.get(*slot).is_some_and(|tasks| is_finished(pass, tasks)))
        .collect();
    for slot in finished {
        pass.slots.get_mut(slot).finished = true;
    }
}

fn is_finished(pass: &Pass<'_, '_>, tasks: &SlotTasks) -> bool {
    if tasks.active.iter().any(|replica| pass.is_up_to_date(&replica.task)) {
        return false;
    }
    let Some(last) = tasks.newest_past() else { return false };
    if last.desired != DesiredStatus::Running || !pass.is_up_to_date(last) {
        return false;
    }
    // After a rollback the past may speak of a version that has come back since: what ran after it is to be replaced.
    if tasks.active.iter().any(|replica| age_key(&replica.task) > age_key(last)) {
        return false;
    }
    match (pass.spec_of(last).template.restart.condition, &last.status) {
        (RestartCondition::Never, TaskStatus::Stopped(_) | TaskStatus::Failed(_)) => true,
        (RestartCondition::OnFailure, TaskStatus::Stopped(exit)) => {
            exit.as_ref().is_none_or(|exit| exit.is_success())
        }
        _ => false,
    }
}

/// Gives up tasks that run but do not serve, each after its slot's back-off: until then it may come back by itself.
pub(super) fn give_up_unhealthy(pass: &mut Pass<'_, '_>) {
    let mut unhealthy: Vec<(Slot, TaskId, u32, Timestamp)> = Vec::new();
    for (slot, tasks) in pass.slots.iter() {
        for replica in &tasks.active {
            let task = &replica.task;
            let reachable = matches!(replica.place, Place::Here | Place::Leaving);
            if !reachable || task.status != TaskStatus::Running(Health::Unhealthy) {
                continue;
            }
            let spec = pass.spec_of(task);
            if spec.template.restart.condition == RestartCondition::Never {
                continue;
            }
            let failures = failures_with(task, &spec, task.status_since);
            let until = back_off_end(task, &spec, failures, task.status_since, pass.now());
            unhealthy.push((slot, task.id, failures, until));
        }
    }
    for (slot, id, failures, until) in unhealthy {
        if pass.now() < until {
            pass.hold(slot, HeldReason::BackOff { until, failures });
            pass.plan.look_again_by(until);
        } else if !pass.is_full() {
            pass.stop(slot, id, StopCause::Unhealthy);
        }
    }
}

/// What the past of a slot means for its next task. Another version begins anew.
pub(super) fn heritage(pass: &Pass<'_, '_>, tasks: &SlotTasks, version: Version) -> Heritage {
    let digest = pass.version(version).map(|wanted| wanted.digest);
    let same = |last: &&Arc<Task>| last.version == version || Some(last.digest) == digest;
    let Some(last) = tasks.newest_past().filter(same) else { return Heritage::default() };
    let spec = pass.spec_of(last);
    match last.stop_cause {
        // The wait came before it was stopped.
        Some(StopCause::Unhealthy) => Heritage {
            failures: failures_with(last, &spec, last.desired_since),
            not_before: None,
            avoid: None,
        },
        _ if last.desired != DesiredStatus::Running => Heritage::default(),
        _ => {
            let ended = last.finished_at.unwrap_or(last.status_since);
            let failures = failures_with(last, &spec, ended);
            let until = back_off_end(last, &spec, failures, ended, pass.now());
            let by_node = matches!(&last.status, TaskStatus::Failed(failure) if matches!(
                failure.kind,
                FailureKind::Image | FailureKind::Engine | FailureKind::Port | FailureKind::Forbidden
            ) || failure.exit.as_ref().is_some_and(|exit| exit.oom_of_node));
            Heritage {
                failures,
                not_before: Some(until).filter(|until| pass.now() < *until),
                avoid: last.node.filter(|_| by_node),
            }
        }
    }
}

/// How many tasks failed in a row, with this one, which failed at `ended`. One that ran well for long enough begins the count
/// anew; that it ran through several attempts says the opposite.
pub(super) fn failures_with(task: &Task, spec: &ServiceSpec, ended: Timestamp) -> u32 {
    let mut long_enough = spec.template.restart.backoff.reset_after;
    if let Some(check) = &spec.template.health {
        // It takes as long to be found unhealthy; that time was not a good one.
        let noticing = (check.interval + check.timeout).saturating_mul(check.unhealthy_threshold);
        long_enough = long_enough.saturating_add(noticing.saturating_mul(2));
    }
    let ran = task.started_at.map(|started| ended.since(started)).unwrap_or_default();
    if task.attempt.0 <= 1 && ran >= long_enough { 1 } else { task.failures_before.saturating_add(1) }
}

/// When the next task may be made. The jitter comes from the task's id, so that each look finds the same.
fn back_off_end(
    task: &Task,
    spec: &ServiceSpec,
    failures: u32,
    ended: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let backoff = spec.template.restart.backoff;
    let (_, jitter) = task.id.uuid().as_u64_pair();
    // A report from a time that is yet to come must not hold the slot for longer than any back-off may.
    (ended + backoff.delay(failures, jitter)).min(now + backoff.max)
}
