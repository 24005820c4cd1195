//! Logs of a task, through its agent.

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};

use super::ControlPlane;
use super::query::{ReadLogs, reaches};
use super::streams::TICKET_LIFE;
use crate::agent::StreamKind;
use crate::env::EnvExt as _;
use crate::id::TaskId;
use crate::identity::Permit;
use crate::node::NodeStatus;
use crate::runtime::LogOptions;

/// Why there is no log to read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// There is no such task, in this namespace.
    #[error("task `{0}` does not exist")]
    NoTask(TaskId),
    /// The task was not placed yet.
    #[error("task `{0}` has no node yet")]
    NoNode(TaskId),
    /// Its node does not answer.
    #[error("the task's node is {0}")]
    NodeUnreachable(&'static str),
    /// The node's agent did not deliver in time.
    #[error("the node's agent did not answer in {} seconds", TICKET_LIFE.as_secs())]
    TimedOut,
    /// Too many logs of that node are being asked for.
    #[error("too many logs of this node are being read at the moment")]
    TooMany,
    /// The control plane stops.
    #[error("the control plane is shutting down")]
    Stopping,
}

impl ControlPlane {
    /// The log of a task's newest container. Waits until the agent delivers; the stream ends when the log does, when the
    /// agent goes away, or when it is dropped.
    ///
    /// # Errors
    /// See [`LogsError`]. A failure after the first byte comes as an error in the stream.
    pub async fn logs(
        &self,
        permit: &Permit<ReadLogs>,
        task: TaskId,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, LogsError> {
        let image = self.image();
        let row = image.task(task).filter(|row| reaches(permit.scope(), &row.namespace));
        let row = row.ok_or(LogsError::NoTask(task))?;
        let node = row.node.ok_or(LogsError::NoNode(task))?;
        match image.node(node).map(|node| node.status) {
            Some(NodeStatus::Ready | NodeStatus::Draining) => {}
            Some(status) => return Err(LogsError::NodeUnreachable(status.as_str())),
            None => return Err(LogsError::NodeUnreachable("gone")),
        }
        let waiting = self.request_stream(node, task, StreamKind::Logs(options));
        let mut waiting = waiting.ok_or(LogsError::TooMany)?;
        let late = self.shared().parts.env.sleep(TICKET_LIFE);
        if let Some(connected) = waiting.connected.take() {
            tokio::select! {
                biased;
                connected = connected => connected.map_err(|_| LogsError::TimedOut)?,
                () = self.shared().stop.cancelled() => return Err(LogsError::Stopping),
                () = late => return Err(LogsError::TimedOut),
            }
        }
        let pieces = unfold(waiting, |mut waiting| async move {
            let piece = waiting.pieces.recv().await?;
            Some((piece, waiting))
        });
        Ok(pieces.boxed())
    }
}
