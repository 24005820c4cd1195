//! What an agent is asked, and delivers, for [`StreamKind::Stats`](super::StreamKind::Stats).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::stats::TaskUsage;
use crate::id::TaskId;

/// Which tasks are to be measured.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StatsRequest {
    /// Of the node that is asked.
    pub tasks: Vec<TaskId>,
}

/// One task's usage, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Whose.
    pub task: TaskId,
    /// What it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TaskUsage>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
