//! Before a task that serves makes room for its successor, the successor's image is on its node (M32). A task that is replaced
//! by one started beside it needs none of this: it goes once the other serves.

use std::time::Duration;

use super::pass::Pass;
use super::plan::{HeldReason, Step};
use crate::id::TaskId;
use crate::service::ImagePin;
use crate::task::prepare::{Preparation, Prepared};
use crate::task::{Slot, Task};

/// How long a node is waited for that says nothing of the image: its agent may know nothing of being asked.
const SILENCE: Duration = Duration::from_secs(30);

/// Whether a task may make room; asks its node for the image where that is not known, and says what is waited for.
pub(super) fn may_make_room(pass: &mut Pass<'_, '_>, slot: Slot, id: TaskId) -> bool {
    let Some(task) = pass.draft.task(id).cloned() else { return true };
    if has_image(pass, &task) {
        return true;
    }
    let now = pass.now();
    // What did not work before this rollout, or before a person let it go on, is tried once more.
    let begun =
        pass.deployment.as_ref().map(|deployment| deployment.continued_at.unwrap_or(deployment.created_at));
    let again = begun.unwrap_or_default();
    let version = pass.wanted.version;
    let asked = task.preparation.as_ref().filter(|asked| asked.version == version && asked.since >= again);
    let why = match asked {
        None => {
            ask(pass, slot, id, Preparation { version, since: now, answer: None });
            pass.plan.look_again_by(now + SILENCE);
            "it is being fetched".to_owned()
        }
        Some(Preparation { answer: Some(Prepared::Ready), .. }) => return true,
        Some(Preparation { answer: None, since, .. }) => {
            let until = *since + SILENCE;
            if until <= now {
                return true;
            }
            pass.plan.look_again_by(until);
            "it is being fetched".to_owned()
        }
        Some(Preparation { answer: Some(Prepared::Waiting(why) | Prepared::Failed(why)), .. }) => why.clone(),
    };
    pass.hold(slot, image_not_there(pass, &task, &why));
    false
}

fn image_not_there(pass: &Pass<'_, '_>, task: &Task, why: &str) -> HeldReason {
    let node = task.node.and_then(|node| pass.node_name(node));
    let node = node.map_or_else(|| "its node".to_owned(), |node| node.to_string());
    HeldReason::ImageNotThere(format!("{} on {node}: {why}", pass.wanted.spec().template.image))
}

/// Why the image of the wanted version cannot be had on the node of a task that was asked for it at `since` or later.
pub(super) fn failure<'t>(
    pass: &Pass<'_, '_>,
    task: &'t Task,
    since: crate::time::Timestamp,
) -> Option<&'t str> {
    let asked = task.preparation.as_ref()?;
    match &asked.answer {
        Some(Prepared::Failed(why)) if asked.version == pass.wanted.version && asked.since >= since => {
            Some(why)
        }
        _ => None,
    }
}

/// Whether the task's own image is the wanted one, so that it must be there.
fn has_image(pass: &Pass<'_, '_>, task: &Task) -> bool {
    let pin = |version| pass.draft.service_revision(pass.service.id, version).and_then(|row| row.pin.clone());
    pass.spec_of(task).template.image == pass.wanted.spec().template.image
        && ImagePin::may_be_same(pin(task.version).as_ref(), pin(pass.wanted.version).as_ref())
}

fn ask(pass: &mut Pass<'_, '_>, slot: Slot, id: TaskId, asked: Preparation) {
    let version = asked.version;
    let Some(task) = pass.change_active(slot, id, |task| task.preparation = Some(asked)) else { return };
    let node = task.node.and_then(|node| pass.node_name(node));
    pass.plan.steps.push(Step::Prepare { slot, node, version });
}
