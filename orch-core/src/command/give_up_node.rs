//! Say that a node is lost.

use std::sync::Arc;

use super::drain_node::change_node;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::{Node, NodeStatus, OfflineCause};

/// Does not wait any longer for a node that is offline: its tasks are replaced as those of any silent node are, though many fell
/// silent with it (M41), or it said goodbye. Idempotent. What a service says of silent nodes holds all the same.
#[derive(Clone, Debug)]
pub struct GiveUpNode {
    /// Which node.
    pub node: NodeId,
}

impl Command for GiveUpNode {
    const ACTION: Action = Action::GiveUpNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        if !matches!(before.status, NodeStatus::Offline { .. }) {
            return Err(Rejection::WrongState(format!(
                "node {} is {}; only a node that is offline can be given up",
                before.name,
                before.status.as_str()
            )));
        }
        let status = before.status.offline_for(OfflineCause::GivenUp);
        change_node(ctx, before, Node { status, ..Node::clone(before) }, "node.give_up")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{NodeFellSilent, ReviewSilence};
    use crate::node::{Hearing, Incarnation, Resources};
    use crate::testing::World;

    #[test]
    fn a_held_node_is_given_up_by_a_person_and_one_that_answers_is_not() {
        let mut world = World::new();
        let nodes = ["a", "b", "c", "d"].map(|name| world.register_node(name, Resources::new(4000, 8 << 30)));
        assert!(matches!(world.execute(GiveUpNode { node: nodes[0] }), Err(Rejection::WrongState(_))));
        let hearing = Hearing { overdue: Arc::new(nodes.into()), window: std::time::Duration::from_secs(30) };
        for node in nodes {
            let hearing = hearing.clone();
            world.execute(NodeFellSilent { node, incarnation: Incarnation(1), hearing }).unwrap();
            assert!(world.cluster.node(node).unwrap().status.is_held(world.now));
        }
        let other = nodes[1];
        world.execute(GiveUpNode { node: nodes[0] }).unwrap();
        assert!(world.execute(ReviewSilence { hearing: hearing.clone() }).unwrap());
        assert!(!world.cluster.node(nodes[0]).unwrap().status.is_held(world.now), "and that stands");
        assert!(world.cluster.node(other).unwrap().status.is_held(world.now), "three of three");
        for node in nodes {
            let status = world.execute(GiveUpNode { node }).unwrap().status;
            assert!(!status.is_held(world.now) && status.unknown_since() == Some(world.now));
        }
        let given_up = world.audit.iter().filter(|record| record.action == "node.give_up").count();
        assert_eq!(given_up, 4);
        let revision = world.cluster.revision();
        world.execute(GiveUpNode { node: nodes[0] }).unwrap();
        assert_eq!(world.cluster.revision(), revision);
        assert!(!world.execute(ReviewSilence { hearing }).unwrap());
        assert!(!world.cluster.node(nodes[0]).unwrap().status.is_held(world.now), "and that stands");
    }
}
