//! The end of services, and of what nobody needs to remember.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::pass::Pass;
use super::plan::{Held, HeldReason, Step};
use super::rollout;
use super::slots::{Place, age_key, place_of};
use crate::cluster::{Change, Key};
use crate::deployment::DeploymentStatus;
use crate::id::TaskId;
use crate::record::{EventKind, RelatedObject, Severity};
use crate::service::{Service, ServiceStatus};
use crate::task::{Slot, StopCause, Task};

/// How many ended tasks a slot keeps.
const KEEP_PER_SLOT: usize = 3;
/// How long ended tasks of slots above the replica count are kept.
const KEEP_SURPLUS: Duration = Duration::from_secs(3600);
/// How many of those are kept at most.
const KEEP_SURPLUS_MAX: usize = 50;

/// Takes a service down: every task goes, and with the last that may hold something the service.
pub(super) fn take_down(pass: &mut Pass<'_, '_>) {
    let tasks: Vec<Arc<Task>> = pass.draft.tasks_of_service(pass.service.id).cloned().collect();
    let mut waiting = 0;
    for task in tasks {
        if pass.is_full() {
            return;
        }
        let place = place_of(&pass.draft, &pass.service, &task, pass.ctx);
        let answers = matches!(place, Place::Here | Place::Leaving);
        if !answers {
            // An agent that comes back finds no such task, and removes what it has of it.
            forget(pass, &task);
        } else if task.is_active() {
            waiting += 1;
            pass.stop(task.slot, task.id, StopCause::Deleted);
        } else if !task.status.is_terminal() {
            waiting += 1;
        }
    }
    if waiting > 0 {
        pass.plan.held.push(Held { slot: None, reason: HeldReason::Stopping });
        return;
    }
    forget_all(pass);
    if pass.is_full() {
        return;
    }
    if let Some(deployment) = pass.deployment.clone() {
        let reason = Some("the service is deleted".to_owned());
        rollout::change(pass, &deployment, DeploymentStatus::Cancelled, reason);
    }
    let service = Service {
        status: ServiceStatus::Deleted,
        revision: pass.ctx.revision,
        updated_at: pass.now(),
        ..Service::clone(&pass.service)
    };
    let (id, name) = (service.id, service.spec.name.clone());
    pass.put(service);
    pass.plan.steps.push(Step::Deleted);
    let text = format!("service {name} is deleted");
    pass.event_about(EventKind::ServiceDeleted, Severity::Info, RelatedObject::Service(id), text);
}

/// Forgets every task of a service that is gone.
pub(super) fn forget_all(pass: &mut Pass<'_, '_>) {
    let tasks: Vec<Arc<Task>> = pass.draft.tasks_of_service(pass.service.id).cloned().collect();
    for task in tasks {
        if pass.is_full() {
            return;
        }
        forget(pass, &task);
    }
}

/// Forgets ended tasks beyond what a slot keeps, so that nothing grows for ever (M19). Their nodes remove what is left of them.
pub(super) fn prune(pass: &mut Pass<'_, '_>) {
    let now = pass.now();
    let last = Slot(pass.service.spec.replicas);
    let mut forgotten: Vec<(Slot, TaskId)> = Vec::new();
    let mut surplus: Vec<&Arc<Task>> = Vec::new();
    for (slot, tasks) in pass.slots.iter() {
        if slot > last {
            surplus.extend(&tasks.ended);
        } else if tasks.ended.len() > KEEP_PER_SLOT {
            let mut ended: Vec<_> = tasks.ended.iter().collect();
            ended.sort_by_key(|task| Reverse(age_key(task)));
            forgotten.extend(ended[KEEP_PER_SLOT..].iter().map(|task| (slot, task.id)));
        }
    }
    surplus.sort_by_key(|task| Reverse((task.status_since, task.id)));
    let expires = |task: &Task| task.status_since + KEEP_SURPLUS;
    let kept = surplus.iter().take(KEEP_SURPLUS_MAX).take_while(|task| now < expires(task)).count();
    let look_again = surplus[..kept].last().map(|task| expires(task));
    forgotten.extend(surplus[kept..].iter().map(|task| (task.slot, task.id)));
    if let Some(at) = look_again {
        pass.plan.look_again_by(at);
    }
    for (slot, id) in forgotten {
        if pass.is_full() {
            return;
        }
        pass.plan.steps.push(Step::Forget { slot });
        pass.put(Change::Remove(Key::Task(id)));
    }
}

fn forget(pass: &mut Pass<'_, '_>, task: &Task) {
    pass.plan.steps.push(Step::Forget { slot: task.slot });
    pass.put(Change::Remove(Key::Task(task.id)));
}
