//! Logs of tasks, through their agents: one as it comes ([`ControlPlane::logs`]), or several in frames that tell what is
//! known of each line ([`ControlPlane::log_frames`]), each task by its own [`pump`], merged by [`merge`].

mod merge;
mod pump;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};

use super::ControlPlane;
use super::query::{ReadLogs, reaches};
use super::streams::TICKET_LIFE;
use crate::agent::StreamKind;
use crate::api::logs::{LogCursors, LogFrame, LogSelection, LogsOf};
use crate::cluster::Cluster;
use crate::env::EnvExt as _;
use crate::id::{ServiceId, TaskId};
use crate::identity::Permit;
use crate::node::NodeStatus;
use crate::runtime::LogOptions;
use crate::task::{DesiredStatus, Task, TaskStatus};

/// How many tasks are read at the same time for one reader.
pub const MOST_TASKS: usize = 256;

/// Why there is no log to read.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// There is no such task, in this namespace.
    #[error("task `{0}` does not exist")]
    NoTask(TaskId),
    /// There is no such service, in this namespace.
    #[error("service `{0}` does not exist")]
    NoService(ServiceId),
    /// More than [`MOST_TASKS`] at once.
    #[error("the service has more than {MOST_TASKS} tasks: ask for one of them")]
    TooManyTasks,
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

    /// The logs of a task, or of a service's tasks, each line with what is known of it, merged by time, from the places in
    /// `cursors` on. A task that cannot be read is told so. With `follow` later attempts and new tasks of the service come too; the
    /// stream then ends with the task, or with the service. Bounded inside: a slow reader slows the nodes' engines.
    ///
    /// # Errors
    /// [`LogsError::NoTask`], [`LogsError::NoService`], [`LogsError::TooManyTasks`].
    pub fn log_frames(
        &self,
        permit: &Permit<ReadLogs>,
        of: LogsOf,
        selection: LogSelection,
        cursors: LogCursors,
    ) -> Result<BoxStream<'static, Vec<LogFrame>>, LogsError> {
        let image = self.image();
        let (service, tasks) = match of {
            LogsOf::Task(id) => {
                let row = image.task(id).filter(|row| reaches(permit.scope(), &row.namespace));
                (None, vec![(id, row.ok_or(LogsError::NoTask(id))?.slot.0)])
            }
            LogsOf::Service(id) => {
                let row = image.service(id).filter(|row| reaches(permit.scope(), &row.namespace));
                row.ok_or(LogsError::NoService(id))?;
                let mut tasks = relevant(&image, id);
                let begun = image.tasks_of_service(id).filter(|task| cursors.0.contains_key(&task.id));
                tasks.extend(begun.map(|task| (task.id, task.slot.0)));
                (Some(id), tasks)
            }
        };
        if tasks.len() > MOST_TASKS {
            return Err(LogsError::TooManyTasks);
        }
        let merge = merge::Merge::new(self.clone(), service, tasks, selection, cursors);
        Ok(unfold(merge, |mut merge| async move { Some((merge.next().await?, merge)) }).boxed())
    }
}

/// The tasks that speak for a service, with their replicas: those that are wanted or still run, and of a replica that has
/// none, the last one.
fn relevant(image: &Cluster, service: ServiceId) -> Vec<(TaskId, u32)> {
    let speaks = |task: &Task| match &task.status {
        TaskStatus::Running(_) | TaskStatus::Stopping => true,
        TaskStatus::Removed => false,
        status => task.desired == DesiredStatus::Running && !status.is_terminal(),
    };
    let mut by_replica: BTreeMap<u32, Vec<&Task>> = BTreeMap::new();
    for task in image.tasks_of_service(service).filter(|task| task.status != TaskStatus::Removed) {
        by_replica.entry(task.slot.0).or_default().push(task);
    }
    let chosen = by_replica.into_iter().flat_map(|(replica, tasks)| {
        let last = tasks.iter().max_by_key(|task| (task.created_at, task.id)).map(|task| task.id);
        let any = tasks.iter().any(|task| speaks(task));
        let chosen =
            tasks.into_iter().filter(move |task| if any { speaks(task) } else { Some(task.id) == last });
        chosen.map(move |task| (task.id, replica)).collect::<Vec<_>>()
    });
    chosen.collect()
}
