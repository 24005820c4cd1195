//! What an agent says of a task. Who says it (node, incarnation, sequence) comes from its credential, never from here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attempt, Exit, TaskStatus};
use crate::id::TaskId;
use crate::node::Incarnation;
use crate::runtime::ContainerId;
use crate::service::{ImageDigest, ImageOrigin};

/// Which request of its node said something: a later one has a higher number, whenever they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportNumber {
    /// The node's registration.
    pub incarnation: Incarnation,
    /// The request's number in it.
    pub sequence: u64,
}

/// One report on one task.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskReport {
    /// Which task.
    pub task: TaskId,
    /// Which attempt; `None` from agents that know no attempts: the one that the control plane knows.
    #[serde(default)]
    pub attempt: Option<Attempt>,
    /// Where it is.
    pub status: TaskStatus,
    /// The attempt's container, once it exists.
    #[serde(default)]
    pub container: Option<ContainerId>,
    /// What the image was resolved to.
    #[serde(default)]
    pub image: Option<ImageDigest>,
    /// Where that image is from; `None` from agents that do not say: they pin nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ImageOrigin>,
    /// How the attempt before ended.
    #[serde(default)]
    pub last_exit: Option<Exit>,
    /// A sentence for people: `restarting in 12 s (attempt 5, exit 1)`.
    #[serde(default)]
    pub note: Option<String>,
    /// On the image that the node was asked to have before this task makes room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<super::PrepareReport>,
}

impl TaskReport {
    /// Where a task is, and nothing else of it. `attempt`: `None` for the one that the control plane knows.
    #[must_use]
    pub const fn new(task: TaskId, attempt: Option<Attempt>, status: TaskStatus) -> Self {
        Self {
            task,
            attempt,
            status,
            container: None,
            image: None,
            origin: None,
            last_exit: None,
            note: None,
            prepared: None,
        }
    }
}
