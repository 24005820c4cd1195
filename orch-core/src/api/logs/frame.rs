//! Logs with all that is known of each line: one JSON object a line of the answer (`format=json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::is_false;
use crate::id::TaskId;
use crate::runtime::{LogSource, LogTime};
use crate::task::Attempt;

/// One JSON object of the answer: `{"line": {…}}`, `{"open": {…}}`, …
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFrame {
    /// The log of an attempt was opened.
    Open(LogOpen),
    /// A line.
    Line(LogLineFrame),
    /// Lines may be missing here.
    Gap(LogGap),
    /// A task's log cannot be read now. With `follow` it is read as soon as it can.
    Away(LogAway),
    /// The attempt's container ended, and its log with it.
    End(LogEnd),
    /// Nothing came for a while, and all is well.
    Alive {},
    /// All was read that was asked for. An answer that ends without it was cut off.
    Complete {},
}

/// The log of an attempt was opened.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogOpen {
    /// The task.
    pub task: TaskId,
    /// Its place in the service.
    pub replica: u32,
    /// The attempt.
    pub attempt: Attempt,
    /// By the node's clock.
    pub at: LogTime,
}

/// A line.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogLineFrame {
    /// The task.
    pub task: TaskId,
    /// Its place in the service.
    pub replica: u32,
    /// The attempt.
    pub attempt: Attempt,
    /// When it was written, by the node's clock.
    pub at: LogTime,
    /// `stdout` or `stderr`.
    pub stream: LogSource,
    /// The line without its end. What is no UTF-8 is replaced.
    pub text: String,
    /// It was too long and goes on in the task's next line of the same stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
}

/// Lines may be missing here.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogGap {
    /// The task.
    pub task: TaskId,
    /// Its place in the service.
    pub replica: u32,
    /// How many, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Why.
    pub reason: String,
}

/// A task's log cannot be read now.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogAway {
    /// The task.
    pub task: TaskId,
    /// Its place in the service.
    pub replica: u32,
    /// Why.
    pub reason: String,
}

/// The attempt's container ended.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogEnd {
    /// The task.
    pub task: TaskId,
    /// Its place in the service.
    pub replica: u32,
    /// The attempt.
    pub attempt: Attempt,
    /// How: `exit 1`, …
    pub reason: String,
}
