//! What the control plane says of a node that says nothing.

use super::versions::write_node;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::{Incarnation, Node, NodeStatus, OfflineCause};
use crate::record::{EventKind, Severity};

/// No heartbeat for the timeout: the node is offline. Nothing to do where it registered anew, or is away already.
#[derive(Clone, Debug)]
pub struct NodeFellSilent {
    /// Which node.
    pub node: NodeId,
    /// The registration that fell silent.
    pub incarnation: Incarnation,
}

impl Command for NodeFellSilent {
    const ACTION: Action = Action::Control;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let silent = cluster.node(self.node).filter(|node| {
            node.incarnation == self.incarnation
                && matches!(node.status, NodeStatus::Ready | NodeStatus::Draining)
        });
        let Some(before) = silent else { return Ok(Decision::unchanged(())) };
        let node = Node {
            status: before.status.gone(ctx.now, OfflineCause::Silent),
            revision: ctx.revision,
            updated_at: ctx.now,
            ..Node::clone(before)
        };
        let mut transaction = Transaction::default();
        let message = format!("node {} sends no heartbeats", node.name);
        let mut event = ctx.node_event(EventKind::NodeOfflineDetected, &node, message);
        event.severity = Severity::Warning;
        transaction.events.push(event);
        ctx.note_node_status(&mut transaction, before.status, &node);
        write_node(&mut transaction, node);
        Ok(Decision::commit(transaction, ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Resources;
    use crate::testing::World;

    #[test]
    fn only_the_registration_that_fell_silent_goes_offline_and_only_once() {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        world.execute(NodeFellSilent { node, incarnation: Incarnation(0) }).unwrap();
        assert_eq!(world.cluster.node(node).unwrap().status, NodeStatus::Ready);

        world.execute(NodeFellSilent { node, incarnation: Incarnation(1) }).unwrap();
        let offline = NodeStatus::Offline { since: world.now, cause: OfflineCause::Silent, draining: false };
        assert_eq!(world.cluster.node(node).unwrap().status, offline);
        assert_eq!(world.count(EventKind::NodeOfflineDetected), 1);
        assert_eq!(world.count(EventKind::NodeStatusChanged), 1);

        let revision = world.cluster.revision();
        world.execute(NodeFellSilent { node, incarnation: Incarnation(1) }).unwrap();
        assert_eq!(world.cluster.revision(), revision);
    }
}
