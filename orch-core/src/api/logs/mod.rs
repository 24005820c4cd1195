//! Asking for logs, and the form of the answer that carries what is known of each line.

pub mod cursor;
pub mod frame;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cursor::{LogCursor, LogCursors};
pub use frame::{LogAway, LogEnd, LogFrame, LogGap, LogLineFrame, LogOpen};

use super::event::parse_since;
use super::{is_false, parse_id};
use crate::command::{FieldPath, Rejection};
use crate::id::{ServiceId, TaskId};
use crate::runtime::LogOptions;
use crate::time::Timestamp;

/// Whose log, and which part of it. The task wins over the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct LogsQuery {
    /// All tasks of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// This task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Go on with what comes.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub follow: bool,
    /// The last so many lines; anything but a number: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// Each line begins with its time.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub timestamps: bool,
    /// Only lines from then on; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The log of the attempt before the newest. Only with `format=json`.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub previous: bool,
    /// `text` (the default), or `json`: a [`LogFrame`] a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Go on there: [`LogCursors`] as text. Only with `format=json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Which lines are wanted, of every task.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct LogSelection {
    /// Go on with what comes, with later attempts, and with tasks that the service gets.
    pub follow: bool,
    /// The last so many lines of each; `None`: all.
    pub tail: Option<u32>,
    /// Only lines from then on.
    pub since: Option<Timestamp>,
    /// The attempt before the newest.
    pub previous: bool,
}

/// How a log is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogsForm {
    /// Lines of text.
    Text(LogOptions),
    /// Frames, from a place on.
    Frames(LogSelection, LogCursors),
}

/// Whose log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogsOf {
    /// All tasks of a service.
    Service(ServiceId),
    /// One task.
    Task(TaskId),
}

impl LogsQuery {
    /// Whose log, which part, and in which form.
    ///
    /// # Errors
    /// Neither a service nor a task is named, or a value is none of its kind.
    pub fn parse(&self) -> Result<(LogsOf, LogsForm), Rejection> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let of = match (given(&self.task_id), given(&self.service_id)) {
            (Some(task), _) => LogsOf::Task(parse_id(&task, "task_id")?),
            (None, Some(service)) => LogsOf::Service(parse_id(&service, "service_id")?),
            (None, None) => {
                let field = FieldPath::new("service_id");
                return Err(Rejection::invalid(
                    field,
                    "neither a service nor a task is named",
                    "one of the two",
                ));
            }
        };
        let tail = self.tail.as_deref().and_then(|tail| tail.parse().ok());
        let (follow, previous) = (self.follow, self.previous);
        let since = parse_since(self.since.as_deref())?;
        let frames_only =
            |field| Rejection::invalid(FieldPath::new(field), "text cannot tell it", "`format=json`");
        let form = match given(&self.format).as_deref() {
            None | Some("text") if previous => return Err(frames_only("previous")),
            None | Some("text") if given(&self.cursor).is_some() => return Err(frames_only("cursor")),
            None | Some("text") => {
                LogsForm::Text(LogOptions { follow, tail, since, timestamps: self.timestamps })
            }
            Some("json") => {
                let text = given(&self.cursor).unwrap_or_default();
                let cursors = super::parse_at(&text, &FieldPath::new("cursor"), "a cursor made of frames")?;
                LogsForm::Frames(LogSelection { follow, tail, since, previous }, cursors)
            }
            Some(_) => {
                let expected = "`text` or `json`";
                return Err(Rejection::invalid(FieldPath::new("format"), "there is no such form", expected));
            }
        };
        Ok((of, form))
    }
}
