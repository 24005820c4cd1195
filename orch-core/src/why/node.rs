//! Why a node is as it is, and what its drain waits for.

use super::{Cause, Why, replica, trouble};
use crate::cluster::Cluster;
use crate::id::ServiceId;
use crate::name::Namespace;
use crate::node::{Node, NodeStatus};
use crate::reconcile::Held;

/// Why a node is as it is. `held` answers what the last look at a service held back; `visible` whether the services of a namespace
/// may be named.
#[must_use]
pub fn node(
    cluster: &Cluster,
    node: &Node,
    held: impl Fn(ServiceId) -> Vec<Held>,
    visible: impl Fn(&Namespace) -> bool,
) -> Why {
    let about = format!("node {}", node.name);
    let mut causes: Vec<Cause> = trouble(node).into_iter().collect();
    if node.cordoned {
        causes.push(Cause::new(&about, "cordoned: it takes no new tasks until it is uncordoned", None));
    }
    let left: Vec<_> = cluster.tasks_on_node(node.id).filter(|task| !task.status.is_terminal()).collect();
    if node.status.is_draining() {
        let by = node.drain_by.map_or_else(String::new, |by| format!(", taken at {by} at the latest"));
        causes.push(match left.len() {
            0 => Cause::new(&about, "drained; `orch node uncordon` lets it take tasks again", None),
            count => Cause::new(&about, format!("draining: {count} tasks are left{by}"), None),
        });
        let mut hidden = 0;
        for task in &left {
            let Some(service) = cluster.service(task.service) else { continue };
            if !visible(&service.namespace) {
                hidden += 1;
                continue;
            }
            let reasons = held(service.id);
            let reason = reasons.iter().find(|held| held.slot == Some(task.slot));
            let text = match reason {
                Some(held) => held.reason.to_string(),
                None if !task.is_active() => "it is being stopped".to_owned(),
                None => "its replacement is about to begin".to_owned(),
            };
            causes.push(Cause::new(replica(service, task), text, None));
        }
        if hidden > 0 {
            causes.push(Cause::new(&about, format!("{hidden} tasks are of other namespaces"), None));
        }
    }
    let summary = match causes.first() {
        Some(first) => format!("{about} is {}: {}", node.status.as_str(), first.text),
        None => format!("{about} is well: {} tasks", left.len()),
    };
    let fine = causes.is_empty() && node.status == NodeStatus::Ready;
    Why { fine, summary, causes }
}
