//! Asking for logs.

use serde::{Deserialize, Serialize};

use super::{is_false, parse_id};
use crate::command::{FieldPath, Rejection};
use crate::id::{ServiceId, TaskId};
use crate::runtime::LogOptions;

/// Whose log, and which part of it. The task wins over the service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whose log, and which part.
    ///
    /// # Errors
    /// Neither a service nor a task is named, or the id is none.
    pub fn parse(&self) -> Result<(LogsOf, LogOptions), Rejection> {
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
        Ok((of, LogOptions { follow: self.follow, tail, since: None, timestamps: self.timestamps }))
    }
}
