//! The deployment of a service: when it is under way, when it is done, and when it has failed.

use std::sync::Arc;

use super::pass::Pass;
use super::plan::{HeldReason, Step};
use super::prepare;
use super::rollback;
use super::slots::Place;
use crate::cluster::Change;
use crate::deployment::{Deployment, DeploymentStatus, OnFailure};
use crate::record::{EventKind, RelatedObject, Severity};
use crate::schedule::explain::same_reason;
use crate::service::Publish;
use crate::task::{DesiredStatus, Failure, FailureKind, Health, Task, TaskStatus};

/// How many attempts a new task has before a rollout gives up on it.
const ATTEMPTS_MAX: u32 = 3;
/// How many tasks of a slot may be unhealthy in a row before a rollout gives up.
const UNHEALTHY_MAX: u32 = 3;
/// How many tasks of a slot may find their dynamic ports taken in a row before a rollout gives up.
const PORTS_MAX: u32 = 3;
/// How the reason of a deployment begins that is not at its end.
const WAITING: &str = "waiting: ";

/// Whether the deployment has failed, and what follows.
pub(super) fn judge(pass: &mut Pass<'_, '_>) {
    let Some(deployment) = pass.deployment.clone() else { return };
    if deployment.status == DeploymentStatus::Paused {
        return; // its deadline rests, and its failures are known
    }
    let failure = culprit(pass, &deployment)
        .or_else(|| (deployment.deadline <= pass.now()).then(|| overdue(pass, &deployment)));
    match failure {
        Some(reason) => fail(pass, &deployment, reason),
        None => pass.plan.look_again_by(deployment.deadline),
    }
}

/// The first task of the new version that will not come up, in words.
fn culprit(pass: &Pass<'_, '_>, deployment: &Deployment) -> Option<String> {
    // What failed before a person let the rollout go on is forgiven; the same failure after that is not.
    let since = deployment.continued_at.unwrap_or(deployment.created_at);
    let ours = |task: &Task| {
        task.version == deployment.to_version
            && task.created_at >= deployment.created_at
            && task.status_since >= since
    };
    for (slot, tasks) in pass.slots.iter() {
        let name = pass.name(slot);
        for task in tasks.ended.iter().filter(|task| ours(task) && task.desired == DesiredStatus::Running) {
            if let TaskStatus::Failed(failure) = &task.status
                && !is_bad_luck(pass, task, failure)
            {
                return Some(format!("{name} failed: {}", failure.reason));
            }
        }
        for replica in &tasks.active {
            if let Some(why) = prepare::failure(pass, &replica.task, since) {
                return Some(format!("{name} goes on as it is: {why}"));
            }
        }
        for replica in tasks.active.iter().filter(|replica| ours(&replica.task)) {
            let task = &replica.task;
            if replica.is_available() || !matches!(replica.place, Place::Here | Place::Leaving) {
                continue;
            }
            if task.attempt.0 > ATTEMPTS_MAX {
                let last =
                    task.last_exit.as_ref().map_or_else(String::new, |e| format!(": {}", e.describe()));
                return Some(format!("{name} does not stay up (attempt {}){last}", task.attempt));
            }
            let unhealthy = task.status == TaskStatus::Running(Health::Unhealthy);
            if unhealthy && task.failures_before + 1 >= UNHEALTHY_MAX {
                return Some(format!("{name} is unhealthy, {UNHEALTHY_MAX} tasks in a row"));
            }
        }
    }
    None
}

/// Whether a task only got a port that something else on its machine holds: the next one gets another.
fn is_bad_luck(pass: &Pass<'_, '_>, task: &Task, failure: &Failure) -> bool {
    let ports = &pass.service.spec.template.ports;
    failure.kind == FailureKind::Port
        && ports.iter().all(|port| port.publish == Publish::Dynamic)
        && task.failures_before + 1 < PORTS_MAX
}

/// What the deployment waited for when its time ran out.
fn overdue(pass: &Pass<'_, '_>, deployment: &Deployment) -> String {
    let replicas = pass.service.spec.replicas;
    let done = pass.wanted_slots().filter(|slot| is_done(pass, *slot)).count();
    let waited = match deployment.reason.as_deref().and_then(|reason| reason.strip_prefix(WAITING)) {
        Some(reason) => Some(reason.to_owned()),
        None => pass.wanted_slots().find(|slot| !is_done(pass, *slot)).map(|slot| {
            let name = pass.name(slot);
            let tasks = pass.slots.get(slot);
            let newest = tasks.and_then(|tasks| {
                tasks.active.iter().map(|replica| &replica.task).rfind(|task| pass.runs_target(task))
            });
            match newest {
                Some(task) => match &task.note {
                    Some(note) => format!("{name} is {}: {note}", task.status.as_str()),
                    None => format!("{name} is {}", task.status.as_str()),
                },
                None => format!("{name} is not replaced yet"),
            }
        }),
    };
    let seconds = deployment.policy.deadline.as_secs();
    let waited = waited.map_or_else(String::new, |waited| format!("; {waited}"));
    format!(
        "not done within {seconds} s: {done} of {replicas} replicas serve version {}{waited}",
        deployment.to_version
    )
}

fn fail(pass: &mut Pass<'_, '_>, deployment: &Arc<Deployment>, reason: String) {
    use DeploymentStatus as S;
    match (deployment.status, deployment.policy.on_failure) {
        (S::RollingBack, _) => change(pass, deployment, S::Failed, Some(reason)),
        // There is nothing to go back to: what was not replaced yet goes on as it is.
        (_, OnFailure::Rollback) if deployment.restart => change(pass, deployment, S::Failed, Some(reason)),
        (_, OnFailure::Pause) => change(pass, deployment, S::Paused, Some(reason)),
        (_, OnFailure::Rollback) => {
            change(pass, deployment, S::Failed, Some(reason));
            rollback::go_back(pass, deployment);
        }
    }
    pass.read();
    if let Some(next) = pass.deployment.clone().filter(|next| next.status != S::Paused) {
        pass.plan.look_again_by(next.deadline);
    }
}

/// Notes that the deployment is under way, waits for room, or is done.
pub(super) fn settle(pass: &mut Pass<'_, '_>) {
    use DeploymentStatus as S;
    let Some(deployment) = pass.deployment.clone().filter(|deployment| deployment.status != S::Paused) else {
        return;
    };
    let outdated = pass.slots.active().any(|replica| !pass.runs_target(&replica.task));
    if !outdated && !pass.is_full() && pass.wanted_slots().all(|slot| is_done(pass, slot)) {
        let status = if deployment.status == S::RollingBack { S::RolledBack } else { S::Succeeded };
        change(pass, &deployment, status, None);
        return;
    }
    let status = match deployment.status {
        S::Pending if pass.stepped => S::Running,
        status => status,
    };
    let waiting = pass.plan.held.iter().find_map(|held| match (&held.slot, &held.reason) {
        (Some(slot), reason @ (HeldReason::NoNodeFits(_) | HeldReason::ImageNotThere(_))) => {
            Some(format!("{WAITING}{}: {reason}", pass.name(*slot)))
        }
        _ => None,
    });
    let same = match (&deployment.reason, &waiting) {
        (Some(known), Some(waiting)) => same_reason(known, waiting),
        (Some(known), None) => !known.starts_with(WAITING),
        (None, waiting) => waiting.is_none(),
    };
    let reason = if same { deployment.reason.clone() } else { waiting };
    let started = deployment.started_at.is_none() && pass.stepped;
    if status != deployment.status || reason != deployment.reason || started {
        change(pass, &deployment, status, reason);
    }
}

/// Whether a slot has come to what the deployment is for.
fn is_done(pass: &Pass<'_, '_>, slot: crate::task::Slot) -> bool {
    pass.slots.get(slot).is_some_and(|tasks| {
        let serves =
            |replica: &super::slots::Replica| replica.is_available() && pass.runs_target(&replica.task);
        tasks.finished || tasks.active.iter().any(serves)
    })
}

/// Moves a deployment on.
pub(super) fn change(
    pass: &mut Pass<'_, '_>,
    before: &Arc<Deployment>,
    status: DeploymentStatus,
    reason: Option<String>,
) {
    let now = pass.now();
    let moved = status != before.status;
    if moved && !before.status.may_become(status) {
        // Only Pending can be in the way: it becomes Running first, which every other move may follow.
        debug_assert!(false, "{} cannot become {}", before.status.as_str(), status.as_str());
        return;
    }
    let row = Deployment {
        status,
        reason: reason.clone(),
        paused_at: (status == DeploymentStatus::Paused).then_some(now),
        updated_at: now,
        started_at: before.started_at.or_else(|| pass.stepped.then_some(now)),
        completed_at: status.is_terminal().then_some(now),
        ..Deployment::clone(before)
    };
    let row = Arc::new(row);
    pass.put(Change::Deployment(Arc::clone(&row)));
    pass.deployment = Some(Arc::clone(&row)).filter(|row| !row.status.is_terminal());
    if !moved {
        return;
    }
    let severity = match status {
        DeploymentStatus::Failed | DeploymentStatus::Paused => Severity::Error,
        _ => Severity::Info,
    };
    let because = reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let text = format!("rollout to version {} is {}{because}", row.to_version, status.as_str());
    let service = RelatedObject::Service(pass.service.id);
    pass.event_about(EventKind::RolloutStatusChanged, severity, service, text);
    pass.plan.steps.push(Step::Deployment { to_version: row.to_version, status, reason });
}
