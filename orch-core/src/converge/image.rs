//! From an attempt without a container to its creation: the image first, and the right one (M32).

use super::{Step, TaskMemory};
use crate::agent::DesiredTask;
use crate::service::ImageOrder;

/// What a task says while its image is there, and nobody noted yet that it is this one.
const UNCONFIRMED: &str = "the image is there; waiting for the control plane to note which it is";

/// What leads on to the attempt's container; nothing where an answer is waited for.
pub(super) fn next(memory: &mut TaskMemory, task: &DesiredTask) -> Option<Step> {
    let order = task.image.as_ref();
    if order != Some(&ImageOrder::Resolve) && memory.note.as_deref() == Some(UNCONFIRMED) {
        memory.note = None;
    }
    if let Some(image) = &memory.image {
        let create = Step::Create { attempt: memory.attempt(), image: image.id.clone() };
        match order {
            None => return Some(create),
            // Said with the report. Another node may have been first: then it is that one's image which runs here.
            Some(ImageOrder::Resolve) => {
                memory.note = Some(UNCONFIRMED.to_owned());
                return None;
            }
            Some(ImageOrder::Pinned(pin)) if memory.ordered.as_ref() == order || pin.is_met_by(image) => {
                return Some(create);
            }
            Some(ImageOrder::Pinned(_)) => memory.image = None,
        }
    }
    memory.pulls = true;
    memory.ordered = task.image.clone();
    let wanted = &task.template.image;
    let pin = order.and_then(ImageOrder::pin);
    Some(Step::Pull {
        image: pin.map_or_else(|| wanted.clone(), |pin| pin.reference(wanted)),
        prefer: pin.and_then(|pin| pin.local_id()).cloned(),
    })
}
