//! What an agent delivers for [`StreamKind::Lines`](super::StreamKind::Lines): one JSON object a line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::logs::{LogCursor, LogSelection};
use crate::runtime::{LogSource, LogTime};
use crate::task::Attempt;

/// Which lines of a task's log are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LinesRequest {
    /// Which.
    pub selection: LogSelection,
    /// Go on there; then `tail` and `previous` mean nothing.
    #[serde(default)]
    pub from: Option<LogCursor>,
}

/// One object of the stream. It ends with `Missing`, `Ended` or `Read`; without, it was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeFrame {
    /// The log of this attempt follows.
    Open {
        /// The attempt.
        attempt: Attempt,
        /// By the node's clock.
        at: LogTime,
    },
    /// A line.
    Line {
        /// When it was written.
        at: LogTime,
        /// Where from.
        stream: LogSource,
        /// Without its end.
        text: String,
        /// It goes on in the next.
        #[serde(default, skip_serializing_if = "crate::api::is_false")]
        cut: bool,
    },
    /// Lines may be missing here.
    Gap {
        /// Why.
        reason: String,
    },
    /// There is no such log, or none yet.
    Missing {
        /// Why.
        reason: String,
    },
    /// The container ended, and all of its log was delivered.
    Ended {
        /// How it ended.
        reason: String,
    },
    /// All was delivered that there was.
    Read {},
}
