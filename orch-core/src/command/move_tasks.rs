//! Let tasks move to better nodes.

use std::time::Duration;

use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::TaskId;
use crate::identity::{Action, Scope};
use crate::node::NodeStatus;
use crate::rebalance::left_alone;
use crate::record::{EventKind, Severity};
use crate::task::Task;

/// How long a task has to find its better place; then it stays where it is.
pub const MOVE_WITHIN: Duration = Duration::from_secs(600);
/// How many tasks one command lets move at most.
pub const MOVES_AT_ONCE_MAX: usize = 100;

/// Lets these tasks make way for others, each once its replacement serves, as in a drain and under the same budget. One that
/// cannot by now (it ended, a rollout began) stays; the answer says which do move.
#[derive(Clone, Debug)]
pub struct MoveTasks {
    /// Which.
    pub tasks: Vec<TaskId>,
}

impl Command for MoveTasks {
    const ACTION: Action = Action::Rebalance;
    type Output = Vec<TaskId>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        if self.tasks.len() > MOVES_AT_ONCE_MAX {
            let expected = format!("at most {MOVES_AT_ONCE_MAX}");
            return Err(Rejection::invalid(FieldPath::new("at_most"), "too many at once", expected));
        }
        let (mut transaction, mut moved) = (Transaction::default(), Vec::new());
        for id in self.tasks {
            let Some(task) = cluster.task(id).filter(|task| ctx.reaches(&task.namespace)) else { continue };
            if !may_move(cluster, task, ctx) {
                continue;
            }
            let until = Some(ctx.now + MOVE_WITHIN);
            transaction.put(Task { moves_until: until, updated_at: ctx.now, ..Task::clone(task) });
            moved.push(id);
        }
        if moved.is_empty() {
            return Ok(Decision::unchanged(moved));
        }
        let message = format!("{} tasks move to better nodes: asked for by {}", moved.len(), ctx.who());
        let mut event = ctx.event(EventKind::RebalanceStarted, Severity::Info, None, message);
        if let Scope::Namespace(namespace) = ctx.scope {
            event.namespace = Some(namespace.clone());
        }
        transaction.events.push(event);
        let mut audit = ctx.audit("service.rebalance", "task", moved[0]);
        audit.metadata.insert("tasks".to_owned(), moved.len().to_string());
        transaction.audit.push(audit);
        Ok(Decision::commit(transaction, moved))
    }
}

fn may_move(cluster: &Cluster, task: &Task, ctx: &Ctx<'_>) -> bool {
    let ready = task.node.and_then(|node| cluster.node(node)).is_some_and(|n| n.status == NodeStatus::Ready);
    let service = cluster.service(task.service);
    task.is_active()
        && task.moves_until.is_none_or(|until| until <= ctx.now)
        && ready
        && service.is_some_and(|service| left_alone(cluster, service).is_none())
}
