//! Cordon, revoke, reset and remove nodes.

use std::sync::Arc;

use super::drain_node::change_node;
use super::endings::end_tasks_of_node;
use super::versions::write_node;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Key, Transaction};
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::{Incarnation, Node, NodeStatus};
use crate::record::{EventKind, Severity};

/// Keeps new tasks away; those that run stay. Idempotent.
#[derive(Clone, Debug)]
pub struct CordonNode {
    /// Which node.
    pub node: NodeId,
}

impl Command for CordonNode {
    const ACTION: Action = Action::CordonNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        if before.status == NodeStatus::Revoked {
            return Err(Rejection::WrongState(format!("node {} is revoked", before.name)));
        }
        let node = Node { cordoned: true, ..Node::clone(before) };
        change_node(ctx, before, node, "node.cordon")
    }
}

/// Ends the node's identity for good: its credential is gone and its tasks have ended, so that they are replaced at once.
/// Idempotent.
#[derive(Clone, Debug)]
pub struct RevokeNode {
    /// Which node.
    pub node: NodeId,
}

impl Command for RevokeNode {
    const ACTION: Action = Action::RevokeNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        let node = Node { status: NodeStatus::Revoked, ..Node::clone(before) };
        let mut decision = change_node(ctx, before, node, "node.revoke")?;
        if !decision.transaction.is_empty() {
            end_identity(cluster, &mut decision.transaction, self.node);
            end_tasks_of_node(cluster, ctx, &mut decision.transaction, self.node, "its node was revoked");
        }
        Ok(decision)
    }
}

/// Ends the node's registration: it must register again, by its key. Its tasks stay. Nothing to do where it has no
/// credential since the last reset.
#[derive(Clone, Debug)]
pub struct ResetNode {
    /// Which node.
    pub node: NodeId,
}

impl Command for ResetNode {
    const ACTION: Action = Action::ResetNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        if before.status == NodeStatus::Revoked {
            return Err(Rejection::WrongState(format!("node {} is revoked", before.name)));
        }
        if cluster.credential(self.node).is_none() {
            return Ok(Decision::unchanged(Arc::clone(before)).about(before.id));
        }
        let node = Node {
            incarnation: Incarnation(before.incarnation.0 + 1),
            revision: ctx.revision,
            updated_at: ctx.now,
            ..Node::clone(before)
        };
        let mut transaction = Transaction::default();
        end_identity(cluster, &mut transaction, self.node);
        let message = format!("node {} must register again", node.name);
        let mut event = ctx.node_event(EventKind::NodeCredentialReset, &node, message);
        event.severity = Severity::Warning;
        transaction.events.push(event);
        transaction.audit.push(ctx.node_audit("node.reset", &node));
        let node = write_node(&mut transaction, node);
        Ok(Decision::commit(transaction, node).about(self.node))
    }
}

/// Removes a node that is offline or revoked, and ends its tasks in the same transaction: nothing is left that refers to it
/// as running. One that is offline and holds replicas of stateful services is removed only if a person says that it is dead: were
/// it to come back, two would own the same data (M40).
#[derive(Clone, Debug)]
pub struct RemoveNode {
    /// Which node.
    pub node: NodeId,
    /// Whoever asks knows that the machine does not run any more.
    pub confirmed_dead: bool,
}

impl Command for RemoveNode {
    const ACTION: Action = Action::RemoveNode;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let node = ctx.node(cluster, self.node)?;
        match node.status {
            NodeStatus::Offline { .. } if !self.confirmed_dead => check_owns_nothing(cluster, node)?,
            NodeStatus::Offline { .. } | NodeStatus::Revoked => {}
            NodeStatus::Ready | NodeStatus::Draining => {
                return Err(Rejection::Conflict(format!(
                    "node {} is {}; only a node that is offline or revoked can be removed",
                    node.name,
                    node.status.as_str()
                )));
            }
        }
        let mut transaction = Transaction::default();
        end_tasks_of_node(cluster, ctx, &mut transaction, self.node, "its node was removed");
        end_identity(cluster, &mut transaction, self.node);
        transaction.remove(Key::Node(self.node));
        let message = format!("node {} was removed", node.name);
        transaction.events.push(ctx.node_event(EventKind::NodeRemoved, node, message));
        transaction.audit.push(ctx.node_audit("node.remove", node));
        Ok(Decision::commit(transaction, ()).about(self.node))
    }
}

/// No replica of a stateful service may still run there.
fn check_owns_nothing(cluster: &Cluster, node: &Node) -> Result<(), Rejection> {
    let owned = cluster.tasks_on_node(node.id).filter(|task| !task.status.is_terminal());
    let mut owned: Vec<String> = owned
        .filter_map(|task| {
            let service = cluster.service(task.service).filter(|service| service.spec.stateful)?;
            Some(format!("{}.{}", service.spec.name, task.slot))
        })
        .collect();
    if owned.is_empty() {
        return Ok(());
    }
    owned.sort();
    Err(Rejection::Conflict(format!(
        "node {} may still run {}: a stateful replica has one owner; if the machine is dead for certain, confirm it",
        node.name,
        owned.join(", ")
    )))
}

fn end_identity(cluster: &Cluster, transaction: &mut Transaction, node: NodeId) {
    if cluster.credential(node).is_some() {
        transaction.remove(Key::Credential(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::versions::tests::service;
    use crate::command::{DrainNode, NodeFellSilent};
    use crate::id::TaskId;
    use crate::node::Resources;
    use crate::task::{DesiredStatus, StopCause, TaskStatus};
    use crate::testing::World;

    /// A node with one task that runs.
    fn world() -> (World, NodeId, TaskId) {
        let (mut world, service) = service();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        let task = world.place(service, 1, Some(node));
        (world, node, task)
    }

    fn assert_ended(world: &World, task: TaskId) {
        let task = world.cluster.task(task).unwrap();
        assert_eq!((task.desired, &task.status), (DesiredStatus::Removed, &TaskStatus::Removed));
        assert_eq!((task.stop_cause, task.finished_at), (Some(StopCause::NodeLost), Some(world.now)));
    }

    #[test]
    fn a_cordon_keeps_new_tasks_away_and_old_ones_in_place() {
        let (mut world, node, task) = world();
        assert!(!world.execute(CordonNode { node }).unwrap().takes_new_tasks());
        assert!(world.cluster.task(task).unwrap().is_active());
        let revision = world.cluster.revision();
        world.execute(CordonNode { node }).unwrap();
        assert_eq!(world.cluster.revision(), revision);
    }

    #[test]
    fn a_revocation_ends_credential_and_tasks_in_one_transaction() {
        let (mut world, node, task) = world();
        let revision = world.cluster.revision();
        let revoked = world.execute(RevokeNode { node }).unwrap();
        assert_eq!(world.cluster.revision(), revision.next());
        assert_eq!(revoked.status, NodeStatus::Revoked);
        assert_eq!(world.cluster.credential(node), None);
        assert_ended(&world, task);
        let event = world.events.iter().rfind(|event| event.kind == EventKind::NodeStatusChanged).unwrap();
        assert_eq!(event.severity, Severity::Warning);
        world.execute(RevokeNode { node }).unwrap();
        assert_eq!(world.cluster.revision(), revision.next(), "once is enough");
        assert!(matches!(world.execute(CordonNode { node }), Err(Rejection::WrongState(_))));
        assert!(matches!(world.execute(ResetNode { node }), Err(Rejection::WrongState(_))));
    }

    #[test]
    fn a_reset_ends_the_registration_and_touches_no_task() {
        let (mut world, node, task) = world();
        let reset = world.execute(ResetNode { node }).unwrap();
        assert_eq!((reset.incarnation, reset.status), (Incarnation(2), NodeStatus::Ready));
        assert_eq!(world.cluster.credential(node), None);
        assert!(world.cluster.task(task).unwrap().is_active());
        assert_eq!(world.count(EventKind::NodeCredentialReset), 1);
        assert_eq!(world.execute(ResetNode { node }).unwrap().incarnation, Incarnation(2));
    }

    #[test]
    fn only_a_node_that_is_away_is_removed_and_its_tasks_end_with_it() {
        let (mut world, node, task) = world();
        assert!(matches!(
            world.execute(RemoveNode { node, confirmed_dead: true }),
            Err(Rejection::Conflict(_))
        ));
        world.execute(DrainNode { node, within: None }).unwrap();
        assert!(matches!(
            world.execute(RemoveNode { node, confirmed_dead: true }),
            Err(Rejection::Conflict(_))
        ));
        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        let revision = world.cluster.revision();
        world.execute(RemoveNode { node, confirmed_dead: true }).unwrap();
        assert_eq!(world.cluster.revision(), revision.next());
        assert_eq!((world.cluster.node(node), world.cluster.credential(node)), (None, None));
        assert_ended(&world, task);
        assert_eq!(world.count(EventKind::NodeRemoved), 1);
        assert_eq!(
            world.execute(RemoveNode { node, confirmed_dead: true }).unwrap_err(),
            Rejection::not_found("node", node)
        );
    }

    #[test]
    fn a_node_that_may_own_a_stateful_replica_is_removed_only_if_it_is_said_to_be_dead() {
        let mut world = World::new();
        let mut spec = crate::testing::web_spec("db", 1);
        spec.stateful = true;
        let namespace = crate::name::Namespace::default_namespace();
        let db = world.execute(crate::command::CreateService { namespace, spec }).unwrap().id;
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        let task = world.place(db, 1, Some(node));
        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        match world.execute(RemoveNode { node, confirmed_dead: false }) {
            Err(Rejection::Conflict(text)) => assert!(text.contains("may still run db.1"), "{text}"),
            other => panic!("{other:?}"),
        }
        assert!(world.cluster.node(node).is_some());
        world.execute(RemoveNode { node, confirmed_dead: true }).unwrap();
        assert_ended(&world, task);
    }
}
