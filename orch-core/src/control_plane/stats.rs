//! What tasks use: every node that runs some of them is asked once, side by side, and what one cannot tell is said of its tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::ControlPlane;
use super::query::{ReadStats, reaches};
use crate::agent::{Measured, StatsRequest, StreamKind};
use crate::api::stats::{StatsOf, TaskStats};
use crate::cluster::Cluster;
use crate::env::EnvExt as _;
use crate::id::{NodeId, ServiceId, TaskId};
use crate::identity::Permit;
use crate::node::NodeStatus;
use crate::task::Task;

/// How many tasks are measured for one question.
pub const MOST_MEASURED: usize = 1_000;
/// How long a node has for its answer, the second in which it measures included.
const PATIENCE: Duration = Duration::from_secs(10);
/// A node's answer may not be longer, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;

/// Why nothing was measured.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// There is no such task, in this namespace.
    #[error("task `{0}` does not exist")]
    NoTask(TaskId),
    /// There is no such service, in this namespace.
    #[error("service `{0}` does not exist")]
    NoService(ServiceId),
    /// More than [`MOST_MEASURED`] at once.
    #[error("more than {MOST_MEASURED} tasks run: ask for one service")]
    TooManyTasks,
}

impl ControlPlane {
    /// Measures what tasks use, now. Takes as long as agents measure, about a second, and at most ten; a node that does not answer
    /// in that time is the problem of its tasks, not of the others.
    ///
    /// # Errors
    /// See [`StatsError`].
    pub async fn stats(&self, permit: &Permit<ReadStats>, of: StatsOf) -> Result<Vec<TaskStats>, StatsError> {
        let image = self.image();
        let mut tasks = measurable(&image, permit, of)?;
        if tasks.len() > MOST_MEASURED {
            return Err(StatsError::TooManyTasks);
        }
        let mut by_node: BTreeMap<NodeId, Vec<TaskId>> = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.status.is_running()) {
            if let Some(node) = task.node {
                by_node.entry(node).or_default().push(task.id);
            }
        }
        let asked = by_node.into_iter().map(|(node, tasks)| {
            let image = &image;
            async move {
                let answer = self.measure_on(image, node, tasks.clone()).await;
                let problem = |why: &String| tasks.iter().map(|task| failed(*task, why)).collect();
                answer.unwrap_or_else(|why| problem(&why))
            }
        });
        let measured: Vec<Vec<Measured>> = join_all(asked).await;
        let mut measured: BTreeMap<TaskId, Measured> =
            measured.into_iter().flatten().map(|measured| (measured.task, measured)).collect();
        let name = |task: &Task| image.service(task.service).map(|service| service.spec.name.to_string());
        tasks.sort_by_cached_key(|task| (name(task), task.slot, task.id));
        let told = tasks.iter().map(|task| {
            let found = measured.remove(&task.id).unwrap_or_else(|| failed(task.id, "the task does not run"));
            TaskStats {
                task_id: task.id.to_string(),
                service_id: task.service.to_string(),
                service: name(task).unwrap_or_default(),
                slot: task.slot.0,
                node: task.node.and_then(|id| image.node(id)).map(|node| node.name.to_string()),
                usage: found.usage,
                problem: found.problem,
            }
        });
        Ok(told.collect())
    }

    async fn measure_on(
        &self,
        image: &Cluster,
        node: NodeId,
        tasks: Vec<TaskId>,
    ) -> Result<Vec<Measured>, String> {
        match image.node(node).map(|node| node.status) {
            Some(NodeStatus::Ready | NodeStatus::Draining) => {}
            Some(status) => return Err(format!("the task's node is {}", status.as_str())),
            None => return Err("the task's node is gone".to_owned()),
        }
        let first = *tasks.first().ok_or("nothing is asked")?;
        let kind = StreamKind::Stats(StatsRequest { tasks });
        let waiting = self.request_stream(node, first, kind);
        let mut waiting = waiting.ok_or("too many streams of this node are asked for at the moment")?;
        let read = async {
            let mut answer = Vec::new();
            while let Some(piece) = waiting.pieces.recv().await {
                answer.extend_from_slice(&piece.map_err(|error| error.to_string())?);
                if answer.len() > LONGEST_ANSWER {
                    return Err("the node's agent says too much".to_owned());
                }
            }
            serde_json::from_slice(&answer).map_err(|_| "the node's agent broke off".to_owned())
        };
        tokio::select! {
            biased;
            answer = read => answer,
            () = self.shared().stop.cancelled() => Err("the control plane is shutting down".to_owned()),
            () = self.shared().parts.env.sleep(PATIENCE) => {
                Err(format!("the node's agent did not answer in {} seconds", PATIENCE.as_secs()))
            }
        }
    }
}

fn failed(task: TaskId, why: &str) -> Measured {
    Measured { task, usage: None, problem: Some(why.to_owned()) }
}

/// The tasks that are meant: running ones, and the one that is named, whatever it does.
fn measurable(
    image: &Cluster,
    permit: &Permit<ReadStats>,
    of: StatsOf,
) -> Result<Vec<Arc<Task>>, StatsError> {
    let running = |task: &&Arc<Task>| task.status.is_running() && reaches(permit.scope(), &task.namespace);
    match of {
        StatsOf::Namespace => Ok(image.tasks().filter(running).cloned().collect()),
        StatsOf::Task(id) => {
            let row = image.task(id).filter(|row| reaches(permit.scope(), &row.namespace));
            Ok(vec![row.cloned().ok_or(StatsError::NoTask(id))?])
        }
        StatsOf::Service(id) => {
            let row = image.service(id).filter(|row| reaches(permit.scope(), &row.namespace));
            row.ok_or(StatsError::NoService(id))?;
            Ok(image.tasks_of_service(id).filter(running).cloned().collect())
        }
    }
}
