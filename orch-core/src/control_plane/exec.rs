//! Commands inside containers: a user's frames to the task's agent, and the agent's back, as long as both may.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};

use super::streams::{Piece, TICKET_LIFE};
use super::{ControlPlane, RequestOptions};
use crate::agent::StreamKind;
use crate::api::exec::ExecFrame;
use crate::command::{ExecuteError, OpenExec};
use crate::env::EnvExt as _;
use crate::id::TaskId;
use crate::identity::Permit;
use crate::node::NodeStatus;
use crate::runtime::ExecRequest;

/// How often something comes, whatever the command does.
const ALIVE: Duration = Duration::from_secs(15);

/// Why a command was not run.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It may not be run, or could not be written down.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The task's node does not answer.
    #[error("the task's node is {0}")]
    NodeUnreachable(&'static str),
    /// The node's agent did not come for it.
    #[error("the node's agent did not answer in {} seconds: agents of the existing implementation cannot run commands", TICKET_LIFE.as_secs())]
    TimedOut,
    /// Too much is asked of that node.
    #[error("too many streams of this node are asked for at the moment")]
    TooMany,
    /// The control plane stops.
    #[error("the control plane is shutting down")]
    Stopping,
}

impl ControlPlane {
    /// Runs a command inside a task's newest container, once it is written down who does. `input` are the user's frames, and what is
    /// answered the agent's: see [`ExecFrame`]. Dropping the answer lets go of the command: it sees the end of its input.
    ///
    /// # Errors
    /// See [`ExecError`].
    pub async fn exec(
        &self,
        permit: Permit<OpenExec>,
        task: TaskId,
        request: ExecRequest,
        input: BoxStream<'static, Piece>,
        options: RequestOptions,
    ) -> Result<BoxStream<'static, Piece>, ExecError> {
        let command = OpenExec { task, command: request.command.clone(), tty: request.tty };
        let node = self.execute_with(permit, command, options).await?;
        match self.image().node(node).map(|node| node.status) {
            Some(NodeStatus::Ready | NodeStatus::Draining) => {}
            Some(status) => return Err(ExecError::NodeUnreachable(status.as_str())),
            None => return Err(ExecError::NodeUnreachable("gone")),
        }
        let waiting = self.request_duplex(node, task, StreamKind::Exec(request), Some(input));
        let mut waiting = waiting.ok_or(ExecError::TooMany)?;
        let env = &self.shared().parts.env;
        let late = env.sleep(TICKET_LIFE);
        if let Some(connected) = waiting.connected.take() {
            tokio::select! {
                biased;
                connected = connected => connected.map_err(|_| ExecError::TimedOut)?,
                () = self.shared().stop.cancelled() => return Err(ExecError::Stopping),
                () = late => return Err(ExecError::TimedOut),
            }
        }
        let env = std::sync::Arc::clone(env);
        let output = unfold(Some(waiting), move |waiting| {
            let env = std::sync::Arc::clone(&env);
            async move {
                let mut waiting = waiting?;
                let alive: Piece = Ok(ExecFrame::Alive.encode());
                tokio::select! {
                    biased;
                    piece = waiting.pieces.recv() => match piece {
                        Some(Ok(piece)) => Some((Ok(piece), Some(waiting))),
                        // What broke is told in a frame, which every reader understands.
                        Some(Err(error)) => Some((Ok(failed(&error)), None)),
                        None => None,
                    },
                    () = env.sleep(ALIVE) => Some((alive, Some(waiting))),
                }
            }
        });
        Ok(output.boxed())
    }
}

fn failed(error: &io::Error) -> Bytes {
    ExecFrame::Failed(format!("the agent's side broke: {error}")).encode()
}
