//! What a runtime says about containers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{ClusterId, NodeId, ServiceId, TaskId};
use crate::service::{RestartPolicy, SpecDigest, StopPolicy, Version};
use crate::task::{Attempt, Exit};
use crate::time::Timestamp;

/// A container's id, as its runtime gives it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container:{}", self.0.get(..12).unwrap_or(&self.0))
    }
}

/// What the labels of one of our containers say: enough to adopt it after any crash, and to restart it without a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerLabels {
    /// `orch.cluster_id`
    pub cluster: ClusterId,
    /// `orch.node_id`
    pub node: NodeId,
    /// `orch.service_id`
    pub service: ServiceId,
    /// `orch.task_id`
    pub task: TaskId,
    /// `orch.attempt`
    pub attempt: Attempt,
    /// `orch.version`
    pub version: Version,
    /// `orch.spec_digest`
    pub digest: SpecDigest,
    /// `orch.restart`: JSON of the policy.
    pub restart: RestartPolicy,
    /// `orch.stop`: JSON of the policy. Once a task is wanted no more its container is all that still knows it.
    pub stop: StopPolicy,
}

impl ContainerLabels {
    /// The label that every container of ours bears, with the value `true`.
    pub const MANAGED: &'static str = "orch.managed";
    /// The label of the cluster.
    pub const CLUSTER: &'static str = "orch.cluster_id";
    /// The label of the node.
    pub const NODE: &'static str = "orch.node_id";

    /// The labels, by key.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let restart = serde_json::to_string(&self.restart).expect("a policy is plain data");
        let stop = serde_json::to_string(&self.stop).expect("a policy is plain data");
        [
            (Self::MANAGED, "true".to_owned()),
            (Self::CLUSTER, self.cluster.to_string()),
            (Self::NODE, self.node.to_string()),
            ("orch.service_id", self.service.to_string()),
            ("orch.task_id", self.task.to_string()),
            ("orch.attempt", self.attempt.to_string()),
            ("orch.version", self.version.to_string()),
            ("orch.spec_digest", self.digest.to_string()),
            ("orch.restart", restart),
            ("orch.stop", stop),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// From a container's labels; `None` where they are not, or not wholly, ours.
    #[must_use]
    pub fn from_map(labels: &BTreeMap<String, String>) -> Option<Self> {
        let get = |key: &str| labels.get(key);
        (get(Self::MANAGED)? == "true").then_some(())?;
        Some(Self {
            cluster: get(Self::CLUSTER)?.parse().ok()?,
            node: get(Self::NODE)?.parse().ok()?,
            service: get("orch.service_id")?.parse().ok()?,
            task: get("orch.task_id")?.parse().ok()?,
            attempt: Attempt(get("orch.attempt")?.parse().ok()?),
            version: Version(get("orch.version")?.parse().ok()?),
            digest: get("orch.spec_digest")?.clone().try_into().ok()?,
            restart: serde_json::from_str(get("orch.restart")?).ok()?,
            stop: get("orch.stop")
                .map_or_else(|| Some(StopPolicy::default()), |stop| serde_json::from_str(stop).ok())?,
        })
    }
}

/// Where a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// Ran, and ended.
    Exited(Exit),
    /// The engine itself does not know what to do with it: to be removed.
    Dead,
}

/// A container of ours, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedContainer {
    /// Its id.
    pub id: ContainerId,
    /// What its labels say.
    pub labels: ContainerLabels,
    /// Where it is.
    pub state: ContainerState,
}

/// Something happened to a container of ours.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEvent {
    /// Which container.
    pub container: ContainerId,
    /// Of which task, if the labels said.
    pub task: Option<TaskId>,
    /// What happened to it.
    pub change: ContainerChange,
}

impl ContainerEvent {
    /// An event that says what happened.
    #[must_use]
    pub const fn new(container: ContainerId, task: Option<TaskId>, change: ContainerChange) -> Self {
        Self { container, task, change }
    }

    /// An event that says no more than that something happened.
    #[must_use]
    pub const fn unclear(container: ContainerId, task: Option<TaskId>) -> Self {
        Self::new(container, task, ContainerChange::Unclear)
    }
}

/// What an event says of its container. Where the listener knows the container this is as good as a look at it, and comes
/// sooner: an engine may answer nothing about a dead container before it has tidied up behind it.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerChange {
    /// It was made.
    Created,
    /// It was started.
    Started {
        /// When.
        since: Timestamp,
    },
    /// It ended, with what is known of that by now: its code and time. A later look may tell more.
    Ended(Exit),
    /// It, or a process in it, was killed for lack of memory. May be said before the end that it leads to, or after it.
    OutOfMemory,
    /// It is gone for good.
    Removed,
    /// Something that only a look at it tells.
    Unclear,
}

/// What a runtime's event stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// A container was made, was started, ended, was removed.
    Changed(ContainerEvent),
    /// The stream was cut and is back, or the engine was restarted: list again.
    Reconnected,
    /// The runtime cannot be reached. Said once; [`RuntimeEvent::Reconnected`] follows when it is back.
    Unreachable(String),
}

/// What a runtime is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeInfo {
    /// `docker`, `process`, …
    pub kind: &'static str,
    /// Its version.
    pub version: String,
    /// Of the interface that is spoken with it, where there is one.
    pub api_version: Option<String>,
}
