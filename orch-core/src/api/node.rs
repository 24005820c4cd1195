//! Nodes on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::enrollment::{ApprovedKey, NodeEnrollment};
use super::task::Condition;
use super::{Resources, Time, is_false};
use crate::cluster::Cluster;
use crate::identity::KeyFingerprint;
use crate::node::{self, NodeCondition, NodeStatus};
use crate::task::Health;
use crate::time::Timestamp;

/// A node.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its name.
    pub hostname: String,
    /// Where its published ports are reached.
    pub advertise_address: String,
    /// What placement constraints look at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the node is by itself, by the name that constraints use: `node.arch`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// All that the machine has.
    pub capacity: Resources,
    /// What tasks may use.
    pub allocatable: Resources,
    /// What tasks reserve of that.
    #[serde(default)]
    pub reserved: Resources,
    /// How many tasks hold something there.
    #[serde(default)]
    pub tasks: u32,
    /// `unknown`, `ready`, `draining`, `offline` or `revoked`.
    pub status: String,
    /// Gets no new tasks, keeps those it has.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cordoned: bool,
    /// What else is the matter: `replacement_held`, `engine_unreachable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Which registration counts: from 1.
    #[serde(default)]
    pub incarnation: u64,
    /// SHA-256 of the node's key (DER), with `sha256:` before it; left out of nodes without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<String>,
    /// How it came in.
    #[serde(default)]
    pub enrollment: NodeEnrollment,
    /// Those of its labels that it cannot change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned_labels: BTreeMap<String, String>,
    /// Another key that it may come with, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_key: Option<ApprovedKey>,
    /// The last heartbeat or registration that is known.
    pub last_heartbeat_at: Time,
    /// When it first registered.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Version of its agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_version: String,
}

impl Node {
    /// A node as an image shows it. `last_heartbeat` is the live one, where it is known.
    #[must_use]
    pub fn view(cluster: &Cluster, node: &node::Node, last_heartbeat: Option<Timestamp>) -> Self {
        let usage = cluster.index().usage(node.id);
        Self {
            id: node.id.to_string(),
            hostname: node.name.to_string(),
            advertise_address: node.advertise_address.clone(),
            labels: node.labels.clone(),
            facts: node.facts.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            capacity: node.capacity.into(),
            allocatable: node.allocatable.into(),
            reserved: usage.map(|usage| usage.reserved).unwrap_or_default().into(),
            tasks: usage.map_or(0, |usage| usage.tasks),
            status: node.status.as_str().to_owned(),
            cordoned: node.cordoned,
            conditions: conditions(node),
            incarnation: node.incarnation.0,
            key_fingerprint: node.key.as_ref().map(|key| KeyFingerprint::of(key).to_string()),
            enrollment: (&node.enrollment).into(),
            pinned_labels: node.pinned_labels.clone(),
            approved_key: node.approved_key.as_ref().map(Into::into),
            last_heartbeat_at: last_heartbeat.unwrap_or(node.updated_at).into(),
            created_at: node.created_at.into(),
            updated_at: node.updated_at.into(),
            agent_version: node.agent_version.clone(),
        }
    }
}

fn conditions(node: &node::Node) -> Vec<Condition> {
    let all = NodeCondition::ALL.into_iter();
    let told = all.filter_map(|condition| Some((condition, condition.since(node)?)));
    let told = told.map(|(condition, since)| Condition {
        kind: condition.as_str().to_owned(),
        message: condition.describe(node),
        last_transition_time: since.into(),
    });
    told.collect()
}

/// One node.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// The node.
    pub node: Node,
}

/// All nodes, by id.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct NodesAnswer {
    /// The nodes.
    pub nodes: Vec<Node>,
}

/// How far a drain is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Which node.
    pub node_id: String,
    /// Its status.
    pub node_status: String,
    /// `not_draining`, `pending`, `complete` or `offline`.
    pub phase: String,
    /// Tasks that were there when it is asked, stopping ones included.
    pub total_tasks: u32,
    /// Of those, not yet gone.
    pub remaining_tasks: u32,
    /// Tasks elsewhere that take the places of remaining ones.
    pub replacement_tasks: u32,
    /// Of those, serving.
    pub replacement_ready: u32,
    /// A replacement waits for room.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insufficient_capacity: bool,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When the tasks that are left are taken, replaced or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
}

/// How a drain goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainQuery {
    /// After how many seconds the tasks that are left are taken, replaced or not; 0: at once; left out: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Passes a maintenance window.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub force: bool,
}

/// What is known of a node that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoveQuery {
    /// The machine does not run any more, for certain.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub confirmed_dead: bool,
}

impl DrainStatus {
    /// How far the drain of a node is, as an image shows it.
    #[must_use]
    pub fn view(cluster: &Cluster, node: &node::Node) -> Self {
        let here: Vec<_> = cluster.tasks_on_node(node.id).collect();
        let remaining: Vec<_> = here.iter().filter(|task| !task.status.is_terminal()).collect();
        let replacements: Vec<_> = remaining
            .iter()
            .filter_map(|old| {
                let same_slot = cluster.tasks_of_service(old.service).filter(|new| {
                    new.id != old.id && new.slot == old.slot && new.is_active() && new.node != Some(node.id)
                });
                same_slot.last()
            })
            .collect();
        let ready = replacements.iter().filter(|task| {
            let checked = cluster.revision_of(task).is_some_and(|r| r.spec.template.health.is_some());
            match task.status {
                crate::task::TaskStatus::Running(Health::Healthy) => true,
                crate::task::TaskStatus::Running(Health::Unchecked) => !checked,
                _ => false,
            }
        });
        let waiting = replacements.iter().find(|task| task.node.is_none());
        let waits = node.drain_waits.iter().find(|(service, _)| {
            // Of a service that left the node meanwhile, what it waited for is past.
            remaining.iter().any(|task| task.service == **service)
        });
        let waits = waits.map(|(_, reason)| reason);
        let phase = match node.status {
            NodeStatus::Offline { .. } => "offline",
            _ if !node.status.is_draining() => "not_draining",
            _ if remaining.is_empty() => "complete",
            _ => "pending",
        };
        Self {
            node_id: node.id.to_string(),
            node_status: node.status.as_str().to_owned(),
            phase: phase.to_owned(),
            total_tasks: count(here.len()),
            remaining_tasks: count(remaining.len()),
            replacement_tasks: count(replacements.len()),
            replacement_ready: count(ready.count()),
            insufficient_capacity: waiting.is_some(),
            message: waiting
                .and_then(|task| task.note.clone())
                .or_else(|| waits.cloned())
                .unwrap_or_default(),
            deadline: node.drain_by.filter(|_| node.status.is_draining()).map(Into::into),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How far a drain is.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DrainStatusAnswer {
    /// How far.
    pub drain_status: DrainStatus,
}
