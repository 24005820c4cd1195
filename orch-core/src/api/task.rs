//! Tasks on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec::Port;
use super::{Time, is_false, time};
use crate::cluster::Cluster;
use crate::node::{NodeCondition, NodeStatus};
use crate::task::{self, Health, TaskStatus};
use crate::time::Timestamp;

/// What a lost node's tasks show as their reason and condition.
pub const NODE_LOST: &str = "node_lost";

/// A task.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Where it belongs.
    pub namespace: String,
    /// Its service.
    pub service_id: String,
    /// Its place in the service: from 1.
    #[serde(default)]
    pub slot: u32,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The container of its attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// `running`, `stopped` or `removed`: what the control plane wants.
    pub desired_status: String,
    /// Where it is, as its node last said; `failed` if the node is lost.
    pub actual_status: String,
    /// As the spec names it.
    pub image: String,
    /// The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_image: Option<String>,
    /// What the node resolved it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_image_digest: Option<String>,
    /// Host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_registry: Option<String>,
    /// Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_name: Option<String>,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_tag: Option<String>,
    /// The version of the spec it runs.
    pub version: u32,
    /// As assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Which container of the task this is: from 1.
    #[serde(default)]
    pub attempt: u32,
    /// Attempts before this one.
    pub restart_count: u32,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// A sentence for people: why it is pending, what the agent waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How this attempt, or the one before, ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// `node_lost`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When an attempt was first running.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub started_at: Option<Time>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub finished_at: Option<Time>,
    /// Of its end, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it: `SIGKILL`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// The kernel killed it for lack of memory.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oom_killed: bool,
    /// The memory that it lacked was the node's: it had no limit of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub oom_of_node: bool,
    /// We stopped it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_us: bool,
    /// What the engine said went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// One phrase: `exit 1`, `killed by the engine: out of its own memory limit`.
    #[serde(default)]
    pub summary: String,
    /// When it was started, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub started_at: Option<Time>,
    /// When it ended.
    pub at: Time,
}

impl From<&task::Exit> for Exit {
    fn from(exit: &task::Exit) -> Self {
        Self {
            code: exit.code,
            signal: exit.signal().map(str::to_owned),
            oom_killed: exit.oom_killed,
            oom_of_node: exit.oom_of_node,
            by_us: exit.by_us,
            error: exit.error.clone(),
            summary: exit.describe(),
            started_at: exit.started_at.map(Into::into),
            at: exit.at.into(),
        }
    }
}

/// Something that is so about a task, beside its status.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Condition {
    /// Of a task: `node_lost`; of a node: `replacement_held`, `engine_unreachable`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when.
    pub last_transition_time: Time,
}

impl Task {
    /// A task as an image shows it: a lost node's are `failed` and `node_lost`, which is computed and not stored, since what
    /// runs there is not known.
    #[must_use]
    pub fn view(cluster: &Cluster, task: &task::Task) -> Self {
        let image = cluster.revision_of(task).map(|revision| &revision.spec.template.image);
        let (exit, mut failure_reason) = match &task.status {
            TaskStatus::Stopped(exit) => (exit.as_ref(), None),
            TaskStatus::Failed(failure) => (failure.exit.as_ref(), Some(failure.reason.clone())),
            _ => (None, None),
        };
        let lost_since = lost_since(cluster, task);
        let stateful = cluster.service(task.service).is_some_and(|service| service.spec.stateful);
        let shown_failed = lost_since.is_some() && !stateful;
        if lost_since.is_some() {
            failure_reason = Some(NODE_LOST.to_owned());
        }
        Self {
            id: task.id.to_string(),
            namespace: task.namespace.to_string(),
            service_id: task.service.to_string(),
            slot: task.slot.0,
            node_id: task.node.map(|node| node.to_string()),
            container_id: task.container.as_ref().map(|container| container.0.clone()),
            desired_status: task.desired.as_str().to_owned(),
            actual_status: if shown_failed { "failed" } else { task.status.as_str() }.to_owned(),
            image: image.map(ToString::to_string).unwrap_or_default(),
            requested_image: image.map(ToString::to_string),
            resolved_image_digest: task.image_digest.as_ref().map(|digest| digest.0.clone()),
            image_registry: image.map(|image| image.registry().to_owned()),
            image_name: image.map(|image| image.name().to_owned()),
            image_tag: image.and_then(|image| image.tag()).map(str::to_owned),
            version: task.version.0,
            ports: task.ports.iter().map(Into::into).collect(),
            attempt: task.attempt.0,
            restart_count: task.attempt.0.saturating_sub(1),
            failure_reason,
            note: task.note.clone(),
            exit: exit.or(task.last_exit.as_ref()).map(Into::into),
            conditions: lost_since
                .map(node_lost)
                .or_else(|| engine_away(cluster, task))
                .into_iter()
                .collect(),
            created_at: task.created_at.into(),
            updated_at: task.updated_at.into(),
            started_at: task.started_at.map(Into::into),
            finished_at: task.finished_at.map(Into::into),
            exit_code: exit.and_then(|exit| exit.code),
        }
    }
}

/// Since when a task that has not ended is on a node that is lost: silent, or revoked.
fn lost_since(cluster: &Cluster, task: &task::Task) -> Option<Timestamp> {
    let node = cluster.node(task.node.filter(|_| !task.status.is_terminal())?)?;
    match node.status {
        NodeStatus::Revoked => Some(node.updated_at),
        status => status.unknown_since(),
    }
}

fn node_lost(since: Timestamp) -> Condition {
    Condition {
        kind: NODE_LOST.to_owned(),
        message: "its node sends no heartbeats; what runs there is not known".to_owned(),
        last_transition_time: since.into(),
    }
}

/// What its status says is as old as that, if its node's engine cannot be reached.
fn engine_away(cluster: &Cluster, task: &task::Task) -> Option<Condition> {
    let node = cluster.node(task.node.filter(|_| !task.status.is_terminal())?)?;
    let trouble = node.engine_trouble.as_ref()?;
    Some(Condition {
        kind: NodeCondition::EngineUnreachable.as_str().to_owned(),
        message: "its node's container engine cannot be reached; what runs there is not known".to_owned(),
        last_transition_time: trouble.since.into(),
    })
}

/// Whether a task serves: wanted, on a node that is heard, healthy, or running where nothing checks its health.
#[must_use]
pub fn serves(cluster: &Cluster, task: &task::Task) -> bool {
    let checked = || cluster.revision_of(task).is_some_and(|r| r.spec.template.health.is_some());
    let up = match task.status {
        TaskStatus::Running(Health::Healthy) => true,
        TaskStatus::Running(Health::Unchecked) => !checked(),
        _ => false,
    };
    up && task.is_active() && lost_since(cluster, task).is_none()
}

/// One task.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct TaskAnswer {
    /// The task.
    pub task: Task,
}

/// Tasks, by id.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct TasksAnswer {
    /// The tasks.
    pub tasks: Vec<Task>,
}

/// Which tasks; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct TasksQuery {
    /// Of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// On this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// With this actual status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// The words of actual statuses.
pub const STATUSES: [&str; 12] = [
    "pending",
    "assigned",
    "pulling",
    "created",
    "starting",
    "running",
    "healthy",
    "unhealthy",
    "stopping",
    "stopped",
    "failed",
    "removed",
];
