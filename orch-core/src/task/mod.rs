//! Tasks: one run of a service's version in one slot, on one node, through numbered attempts.

pub mod prepare;
pub mod report;
pub mod status;
pub mod stop;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use prepare::{Preparation, PrepareReport, Prepared};
pub use report::{ReportNumber, TaskReport};
pub use status::{Backwards, DesiredStatus, Exit, Failure, FailureKind, Health, TaskStatus};
pub use stop::StopCause;

use crate::id::{NodeId, ServiceId, TaskId};
use crate::name::Namespace;
use crate::node::Resources;
use crate::runtime::ContainerId;
use crate::service::port::AssignedPort;
use crate::service::{ImageDigest, SpecDigest, Version};
use crate::time::Timestamp;

/// A replica's place in its service: from 1 to the number of replicas. `web.3` is slot 3 of `web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// The how-manieth container of a task: from 1. The agent starts another attempt by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first.
    pub const FIRST: Self = Self(1);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Default for Attempt {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A task as the cluster knows it. What it runs stands in the service's revision of its version.
///
/// Two writers: `desired` is the control plane's, `attempt`, `status`, `container` and what belongs to them the agent's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id, the same through all attempts.
    pub id: TaskId,
    /// Its service's namespace.
    pub namespace: Namespace,
    /// Its service.
    pub service: ServiceId,
    /// Its place in the service.
    pub slot: Slot,
    /// The version of the spec it runs.
    pub version: Version,
    /// Digest of that version's template.
    pub digest: SpecDigest,
    /// Where it runs; `None` while it is pending. Never changes once set.
    pub node: Option<NodeId>,
    /// What it reserves on its node.
    pub requests: Resources,
    /// Ports it owns on its node.
    #[serde(default)]
    pub ports: Vec<AssignedPort>,
    /// What the control plane wants of it.
    pub desired: DesiredStatus,
    /// Since when it is wanted so.
    pub desired_since: Timestamp,
    /// Why the control plane wants it gone; `None` while it is wanted.
    #[serde(default)]
    pub stop_cause: Option<StopCause>,
    /// Until then it is to make way for one on another node, once that serves: somebody asked for a rebalance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves_until: Option<Timestamp>,
    /// How many tasks of its slot and version failed in a row before it: what the back-off of the slot counts.
    #[serde(default)]
    pub failures_before: u32,
    /// Where it is, as its node last said.
    pub status: TaskStatus,
    /// Since when it is there.
    pub status_since: Timestamp,
    /// Which attempt `status` speaks of.
    #[serde(default)]
    pub attempt: Attempt,
    /// The container of that attempt.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// What the image was resolved to on the node.
    #[serde(default)]
    pub image_digest: Option<ImageDigest>,
    /// How the attempt before this one ended.
    #[serde(default)]
    pub last_exit: Option<Exit>,
    /// A sentence for people: why it is pending, what the agent waits for, why it failed.
    #[serde(default)]
    pub note: Option<String>,
    /// The image that its node was asked to have before this task makes room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Preparation>,
    /// The last report that was taken of it; `None` before the first, and from agents that do not number their requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<ReportNumber>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When an attempt was first running.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default)]
    pub finished_at: Option<Timestamp>,
}

impl Task {
    /// Wanted, and not at its end: what counts against surge and replicas.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.desired, DesiredStatus::Running) && !self.status.is_terminal()
    }

    /// Whether it holds resources and ports of its node: from assignment until its end is reported.
    #[must_use]
    pub const fn occupies_node(&self) -> bool {
        self.node.is_some() && !self.status.is_terminal()
    }
}
