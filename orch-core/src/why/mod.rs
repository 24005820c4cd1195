//! Why something is as it is: the chain of causes, from the state and from what the last look at a service held back. Pure.
//!
//! The first cause is the one that a person mends first. Nothing is guessed: where the state does not say why, nothing is said.

mod node;
mod service;
mod task;

pub use node::node;
pub use service::service;
pub use task::task;

use crate::cluster::Cluster;
use crate::node::{Node, NodeCondition, NodeStatus, OfflineCause};
use crate::service::Service;
use crate::task::{Health, Task, TaskStatus};
use crate::time::Timestamp;

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// Nothing needs a person, and nothing is waited for.
    pub fine: bool,
    /// One line.
    pub summary: String,
    /// The chain, what to mend first at its head.
    pub causes: Vec<Cause>,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What it is about: `web.2`, `node a`, `rollout to version 3`.
    pub about: String,
    /// A sentence.
    pub text: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
}

impl Cause {
    fn new(about: impl Into<String>, text: impl Into<String>, since: Option<Timestamp>) -> Self {
        Self { about: about.into(), text: text.into(), since }
    }
}

fn replica(service: &Service, task: &Task) -> String {
    format!("{}.{}", service.spec.name, task.slot)
}

/// Whether a task serves on a node that answers.
fn serves(cluster: &Cluster, task: &Task) -> bool {
    let node = task.node.and_then(|node| cluster.node(node));
    let answers = node.is_some_and(|node| matches!(node.status, NodeStatus::Ready | NodeStatus::Draining));
    let checked = || cluster.revision_of(task).is_some_and(|row| row.spec.template.health.is_some());
    answers
        && match task.status {
            TaskStatus::Running(Health::Healthy) => true,
            TaskStatus::Running(Health::Unchecked) => !checked(),
            _ => false,
        }
}

/// What is the matter with a node, if anything is.
fn trouble(node: &Node) -> Option<Cause> {
    let about = format!("node {}", node.name);
    match node.status {
        NodeStatus::Ready | NodeStatus::Draining => {
            let trouble = node.engine_trouble.as_ref()?;
            let text = NodeCondition::EngineUnreachable.describe(node);
            Some(Cause::new(about, text, Some(trouble.since)))
        }
        NodeStatus::Revoked => Some(Cause::new(about, "its identity was revoked", None)),
        NodeStatus::Offline { since, cause, .. } => {
            let text = match cause {
                OfflineCause::Shutdown => "offline: its agent said goodbye",
                OfflineCause::Silent => "offline: its agent fell silent; is the machine up, and orch-agent?",
                OfflineCause::SilentWithMany { .. } => {
                    "offline: it fell silent with too many other nodes at once, so its tasks are not replaced; is the network well?"
                }
                OfflineCause::GivenUp => "offline: it was given up",
            };
            Some(Cause::new(about, text, Some(since)))
        }
    }
}

#[cfg(test)]
mod tests;
