//! Why a task is where it is.

use super::{Cause, Why, replica, serves, trouble};
use crate::cluster::Cluster;
use crate::node::NodeStatus;
use crate::reconcile::{Held, HeldReason};
use crate::schedule::explain::same_reason;
use crate::service::Service;
use crate::task::{Health, Task, TaskStatus};

/// Why a task is where it is. `held`: what the last look at its service held back.
#[must_use]
pub fn task(cluster: &Cluster, service: &Service, task: &Task, held: &[Held]) -> Why {
    let name = replica(service, task);
    let mut causes = Vec::from_iter(failure_before(cluster, service, task));
    causes.extend(chain(cluster, service, task));
    for held in held.iter().filter(|held| held.slot == Some(task.slot) && task.is_active()) {
        if !is_said(&causes, &held.reason) {
            causes.push(Cause::new(&name, held.reason.to_string(), None));
        }
    }
    if let Some(cause) = task.stop_cause {
        causes.insert(0, Cause::new(&name, format!("to be removed: {cause}"), Some(task.desired_since)));
    }
    let fine = task.stop_cause.is_none() && serves(cluster, task);
    let status = task.status.as_str();
    let summary = match causes.first() {
        None => format!("{name} is {status}"),
        Some(first) if first.about == name => format!("{name} is {status}: {}", first.text),
        Some(first) => format!("{name} is {status}; {}: {}", first.about, first.text),
    };
    Why { fine, summary, causes }
}

/// How the task before one that does not serve yet ended, if it failed: the slot was filled again for that.
pub(super) fn failure_before(cluster: &Cluster, service: &Service, task: &Task) -> Option<Cause> {
    if !task.is_active() || serves(cluster, task) {
        return None;
    }
    let before = cluster.tasks_of_service(service.id).filter(|other| {
        other.slot == task.slot && other.id != task.id && other.created_at <= task.created_at
    });
    let last = before.max_by_key(|other| (other.created_at, other.failures_before, other.id))?;
    match &last.status {
        TaskStatus::Failed(_) => chain(cluster, service, last).into_iter().next(),
        _ => None,
    }
}

/// Whether the chain says already what is held.
pub(super) fn is_said(causes: &[Cause], reason: &HeldReason) -> bool {
    match reason {
        // How much is free may have changed since a task's note was written: that is no other reason.
        HeldReason::NoNodeFits(why) => causes
            .iter()
            .filter_map(|cause| cause.text.strip_prefix("no node fits: "))
            .any(|told| same_reason(told, why)),
        other => causes.iter().any(|cause| cause.text == other.to_string()),
    }
}

/// What keeps a task from serving, by its own state and its node's.
pub(super) fn chain(cluster: &Cluster, service: &Service, task: &Task) -> Vec<Cause> {
    let name = replica(service, task);
    let mut causes = Vec::new();
    let node = task.node.and_then(|node| cluster.node(node));
    if let Some(trouble) = node.and_then(|node| trouble(node)).filter(|_| !task.status.is_terminal()) {
        causes.push(trouble);
    }
    let noted = task.note.as_ref().map_or_else(String::new, |note| format!(": {note}"));
    let on = node.map_or_else(String::new, |node| format!(" on {}", node.name));
    let since = Some(task.status_since);
    let mut say = |text: String| causes.push(Cause::new(&name, text, since));
    match &task.status {
        TaskStatus::Pending => say(format!("no node fits{noted}")),
        TaskStatus::Assigned => say(format!("its agent has not begun with it yet{on}{noted}")),
        TaskStatus::Pulling => say(format!("its image is being pulled{on}{noted}")),
        TaskStatus::Created | TaskStatus::Starting => say(format!("it is being started{on}{noted}")),
        TaskStatus::Running(Health::Unhealthy) => say(format!("its health check fails{on}{noted}")),
        TaskStatus::Running(Health::Unchecked) if !serves(cluster, task) && node.is_some_and(answers) => {
            say(format!("it runs{on}, and its health check has not passed yet{noted}"));
        }
        TaskStatus::Running(_) => {}
        TaskStatus::Stopping => say(format!("it is being stopped{on}")),
        TaskStatus::Stopped(exit) => {
            let how = exit.as_ref().map_or_else(|| "it ended".to_owned(), |exit| exit.describe());
            say(format!("ended{on}: {how}"));
        }
        TaskStatus::Failed(failure) => say(format!("failed{on}: {}", failure.reason)),
        TaskStatus::Removed => say("it was removed".to_owned()),
    }
    let again = task.attempt.0 > 1 && !task.status.is_terminal();
    if let Some(exit) = task.last_exit.as_ref().filter(|_| again) {
        let text = format!("attempt {}; the one before: {}", task.attempt, exit.describe());
        causes.push(Cause::new(&name, text, Some(exit.at)));
    }
    causes
}

fn answers(node: &std::sync::Arc<crate::node::Node>) -> bool {
    matches!(node.status, NodeStatus::Ready | NodeStatus::Draining)
}
