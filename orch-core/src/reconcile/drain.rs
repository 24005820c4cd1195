//! Drains that cannot wait any longer, and what those that can are waiting for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pass::Pass;
use super::plan::HeldReason;
use super::slots::Place;
use crate::cluster::Change;
use crate::id::{NodeId, TaskId};
use crate::node::Node;
use crate::record::{EventKind, RelatedObject, Severity};
use crate::schedule::explain::same_reason;
use crate::task::{Slot, StopCause};

/// Stops the tasks of nodes whose drain has come to its deadline, replaced or not: a person said so (invariant 5).
pub(super) fn evict_overdue(pass: &mut Pass<'_, '_>) {
    let (mut overdue, mut soonest): (Vec<(Slot, TaskId)>, _) = (Vec::new(), None);
    for (slot, tasks) in pass.slots.iter() {
        for replica in tasks.active.iter().filter(|replica| replica.place == Place::Leaving) {
            let node = replica.task.node.and_then(|node| pass.draft.node(node));
            match node.and_then(|node| node.drain_by) {
                Some(by) if by <= pass.now() => overdue.push((slot, replica.task.id)),
                Some(by) => soonest = Some(soonest.map_or(by, |known: crate::time::Timestamp| known.min(by))),
                None => {}
            }
        }
    }
    if let Some(at) = soonest {
        pass.plan.look_again_by(at);
    }
    for (slot, id) in overdue {
        if pass.is_full() {
            return;
        }
        pass.stop(slot, id, StopCause::Drained);
    }
}

/// Says of each drain that waits for something which no progress of its own brings what that is: once, until it is something
/// else. What was said last stands in the node's row.
pub(super) fn note_waits(pass: &mut Pass<'_, '_>) {
    let service = pass.service.id;
    let waits = waits(pass);
    let touched: Vec<Arc<Node>> = pass
        .draft
        .nodes()
        .filter(|node| node.status.is_draining() || node.drain_waits.contains_key(&service))
        .filter(|node| waits.contains_key(&node.id) || node.drain_waits.contains_key(&service))
        .cloned()
        .collect();
    for node in touched {
        let (known, now) = (node.drain_waits.get(&service), waits.get(&node.id));
        let same = match (known, now) {
            (Some(known), Some(now)) => same_reason(known, now),
            (known, now) => known.is_none() == now.is_none(),
        };
        if same {
            continue;
        }
        let mut row = Node::clone(&node);
        match now {
            Some(reason) => {
                row.drain_waits.insert(service, reason.clone());
                let text = format!("the drain of node {} waits: {reason}", node.name);
                let related = RelatedObject::Node(node.id);
                pass.event_about(EventKind::NodeDrainPending, Severity::Warning, related, text);
            }
            None => drop(row.drain_waits.remove(&service)),
        }
        pass.put(Change::Node(Arc::new(row)));
    }
}

/// By node, the first thing that one of the service's tasks there waits for.
fn waits(pass: &Pass<'_, '_>) -> BTreeMap<NodeId, String> {
    let mut waits = BTreeMap::new();
    for (slot, tasks) in pass.slots.iter() {
        let leaving = tasks.active.iter().filter(|replica| replica.place == Place::Leaving);
        for node in leaving.filter_map(|replica| replica.task.node) {
            let name = pass.name(slot);
            let held = pass.plan.held.iter().filter(|held| held.slot == Some(slot));
            let reason = held.map(|held| &held.reason).find_map(|reason| match reason {
                HeldReason::NoNodeFits(_) => Some(format!("{name}: {reason}")),
                HeldReason::BackOff { .. } => {
                    Some(format!("{name}: its replacement fails; `orch why {name}`"))
                }
                _ => None,
            });
            if let Some(reason) = reason {
                waits.entry(node).or_insert(reason);
            }
        }
    }
    waits
}
