//! Why a service is not what it should be.

use std::sync::Arc;

use super::task::{chain, failure_before, is_said};
use super::{Cause, Why, serves};
use crate::cluster::Cluster;
use crate::deployment::{Deployment, DeploymentStatus};
use crate::reconcile::Held;
use crate::service::{Service, ServiceStatus};
use crate::task::{Slot, Task};

/// Why a service is not what it should be. `held`: what the last look at it held back.
#[must_use]
pub fn service(cluster: &Cluster, service: &Service, held: &[Held]) -> Why {
    match service.status {
        ServiceStatus::Active => active(cluster, service, held),
        ServiceStatus::Deleted => {
            Why { fine: true, summary: format!("{} is deleted", service.spec.name), causes: Vec::new() }
        }
        ServiceStatus::Deleting => {
            let tasks = cluster.tasks_of_service(service.id);
            let left: Vec<_> = tasks.filter(|task| !task.status.is_terminal()).collect();
            let causes = left.iter().flat_map(|task| chain(cluster, service, task)).collect();
            let summary = format!("{} is being deleted; {} tasks are left", service.spec.name, left.len());
            Why { fine: false, summary, causes }
        }
    }
}

fn active(cluster: &Cluster, service: &Service, held: &[Held]) -> Why {
    let (name, replicas) = (&service.spec.name, service.spec.replicas);
    let tasks: Vec<&Arc<Task>> = cluster.tasks_of_service(service.id).collect();
    let of_slot = |slot| tasks.iter().copied().filter(move |task| task.slot == slot);
    let serving = |slot: &Slot| of_slot(*slot).any(|task| task.is_active() && serves(cluster, task));
    let idle: Vec<Slot> = (1..=replicas).map(Slot).filter(|slot| !serving(slot)).collect();

    let mut causes = Vec::new();
    for slot in &idle {
        let newest = of_slot(*slot).max_by_key(|task| (task.is_active(), task.created_at, task.id));
        match newest {
            Some(task) => {
                causes.extend(failure_before(cluster, service, task));
                causes.extend(chain(cluster, service, task));
            }
            None => causes.push(Cause::new(format!("{name}.{slot}"), "it has no task yet", None)),
        }
    }
    let (rollout, trouble) = rollout(cluster, service);
    // A rollout that waits for a person is why replicas of two versions stand side by side, not why one does not serve.
    causes.extend(trouble.clone());
    for held in held {
        if is_said(&causes, &held.reason) {
            continue;
        }
        let about = held.slot.map_or_else(|| name.to_string(), |slot| format!("{name}.{slot}"));
        causes.push(Cause::new(about, held.reason.to_string(), None));
    }
    let first = causes.first().map_or_else(String::new, |cause| format!("{}: {}", cause.about, cause.text));
    let served = replicas as usize - idle.len();
    let summary = match (idle.is_empty(), trouble, rollout) {
        (false, ..) => format!("{served} of {replicas} replicas of {name} serve; {first}"),
        (true, Some(trouble), _) => format!("{}: {}", trouble.about, trouble.text),
        (true, None, Some(rollout)) => {
            let on = tasks.iter().filter(|task| task.version == rollout.to_version && serves(cluster, task));
            format!("{name}: {} of {replicas} replicas serve version {}", on.count(), rollout.to_version)
        }
        (true, None, None) => {
            format!("{name} is well: {served} of {replicas} replicas serve version {}", service.version)
        }
    };
    Why { fine: causes.is_empty(), summary, causes }
}

/// The rollout under way, and what a person should know of the last one.
fn rollout(cluster: &Cluster, service: &Service) -> (Option<Arc<Deployment>>, Option<Cause>) {
    let deployments = cluster.deployments_of(service.id);
    let Some(newest) = deployments.last() else { return (None, None) };
    let about = format!("rollout to version {}", newest.to_version);
    let reason = newest.reason.clone().unwrap_or_default();
    let cause = match newest.status {
        DeploymentStatus::Paused => {
            let text = format!("{reason}; `orch rollout continue {}` lets it go on", service.spec.name);
            Some(Cause::new(about, text, newest.paused_at))
        }
        DeploymentStatus::Failed => Some(Cause::new(about, format!("failed: {reason}"), newest.completed_at)),
        _ => None,
    };
    let under_way = Some(Arc::clone(newest)).filter(|newest| !newest.status.is_terminal());
    // What a rollback goes back from is worth saying until something newer ends well.
    let before = deployments
        .iter()
        .rev()
        .nth(1)
        .filter(|before| newest.is_rollback() && before.status == DeploymentStatus::Failed);
    let went_back = before.filter(|_| cause.is_none() && under_way.is_some()).map(|before| {
        let about = format!("rollout to version {}", before.to_version);
        let reason = before.reason.as_deref().unwrap_or_default();
        Cause::new(about, format!("failed: {reason}"), before.completed_at)
    });
    (under_way, cause.or(went_back))
}
