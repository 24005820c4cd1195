//! What a node should run, and its version.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lines::LinesRequest;
use super::stats::StatsRequest;
use crate::cluster::Revision;
use crate::id::{ClusterId, NodeId, ServiceId, TaskId};
use crate::name::{Namespace, ServiceName};
use crate::runtime::{ExecRequest, LogOptions};
use crate::service::port::AssignedPort;
use crate::service::{ImageOrder, ImageRef, SpecDigest, TaskTemplate, Version};
use crate::task::{Attempt, DesiredStatus, Slot};
use crate::time::Timestamp;

/// The version of a desired set: the cluster, and the transaction that last changed what the node should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DesiredVersion {
    /// Which cluster.
    pub cluster: ClusterId,
    /// Which transaction.
    pub revision: Revision,
}

/// All that a node should run: the truth for its agent. A task that is not in it has no business on the node. One that is to
/// be removed stays in it until the agent has said that it is: that is owed even where nothing of the task ever was.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DesiredSet {
    /// Its version.
    pub version: DesiredVersion,
    /// The node that it is for.
    pub node: NodeId,
    /// By task id.
    pub tasks: Vec<DesiredTask>,
    /// Streams that someone waits for. Each is handed out once.
    #[serde(default)]
    pub streams: Vec<StreamRequest>,
}

/// One task that a node has.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DesiredTask {
    /// The task.
    pub id: TaskId,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its service.
    pub service: ServiceId,
    /// Its service's name.
    pub service_name: ServiceName,
    /// Its place in the service.
    pub slot: Slot,
    /// The version it runs.
    pub version: Version,
    /// Digest of `template`.
    pub digest: SpecDigest,
    /// Running, stopped or removed.
    pub desired: DesiredStatus,
    /// The attempt that the control plane knows of: the agent does not fall behind it.
    pub attempt: Attempt,
    /// What to run.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub template: TaskTemplate,
    /// Which bytes the template's image is; `None` from control planes that pin none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageOrder>,
    /// What to have on the node meanwhile, for what is to take the task's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<Prepare>,
    /// The ports that it owns on the node.
    #[serde(default)]
    pub ports: Vec<AssignedPort>,
}

/// An image to have on the node before a task makes room for another version.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Prepare {
    /// Of which version.
    pub version: Version,
    /// When it was asked: what is said of it repeats this.
    pub since: Timestamp,
    /// As the spec names it.
    pub image: ImageRef,
    /// Which bytes.
    pub order: ImageOrder,
}

/// A one-time ticket for a stream: 128 random bits, good for 30 seconds, bound to node, task and kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TicketId(pub String);

impl fmt::Debug for TicketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketId(…)")
    }
}

/// Someone waits for a stream from one of the node's tasks.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StreamRequest {
    /// What the agent shows when it delivers.
    pub ticket: TicketId,
    /// The task.
    pub task: TaskId,
    /// What is wanted of it.
    pub kind: StreamKind,
}

/// Kinds of streams.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// The log of its newest container, both sources merged.
    Logs(LogOptions),
    /// Its log as [`NodeFrame`](super::NodeFrame)s, one attempt's.
    Lines(LinesRequest),
    /// A command inside its container, as [`ExecFrame`](crate::api::exec::ExecFrame)s. What it reads is got by
    /// [`AgentApi::input`](super::AgentApi::input), before the ticket is used up.
    Exec(ExecRequest),
    /// What several of the node's tasks use: a JSON array of [`Measured`](super::Measured), and the end.
    Stats(StatsRequest),
}
