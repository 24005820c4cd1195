//! A user runs a command inside a task's container: written down before it is run.

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::{NodeId, TaskId};
use crate::identity::Action;

/// Writes down who runs what where. What goes in and out is not written anywhere.
#[derive(Clone, Debug)]
pub struct OpenExec {
    /// Where.
    pub task: TaskId,
    /// Program and arguments.
    pub command: Vec<String>,
    /// With a terminal.
    pub tty: bool,
}

impl Command for OpenExec {
    const ACTION: Action = Action::ExecTask;
    type Output = NodeId;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<NodeId>, Rejection> {
        let task = cluster.task(self.task).filter(|task| ctx.reaches(&task.namespace));
        let task = task.ok_or_else(|| Rejection::not_found("task", self.task))?;
        let node = task.node.filter(|_| task.status.is_running());
        let node = node.ok_or_else(|| Rejection::Conflict("the task does not run".to_owned()))?;
        let mut audit = ctx.audit("task.exec", "task", task.id);
        audit.namespace = Some(task.namespace.clone());
        let command = serde_json::to_string(&self.command).unwrap_or_default();
        audit.metadata.insert("command".to_owned(), command);
        audit.metadata.insert("service_id".to_owned(), task.service.to_string());
        audit.metadata.insert("node_id".to_owned(), node.to_string());
        audit.metadata.insert("tty".to_owned(), self.tty.to_string());
        Ok(Decision::commit(Transaction { audit: vec![audit], ..Transaction::default() }, node))
    }
}
