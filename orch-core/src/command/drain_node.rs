//! Empty a node, and let it be filled again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::versions::write_node;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::Node;
use crate::record::EventKind;

/// Takes a node out of service: it gets no new tasks, and loses each task once that task's replacement serves. Idempotent.
#[derive(Clone, Debug)]
pub struct DrainNode {
    /// Which node.
    pub node: NodeId,
    /// After how long the tasks that are left are taken, replaced or not; nothing: at once. Left out, a drain waits for as long as
    /// it must, and one under way keeps its deadline.
    pub within: Option<Duration>,
}

/// The longest time that a drain can be given: 30 days.
pub const DRAIN_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

impl Command for DrainNode {
    const ACTION: Action = Action::DrainNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        let status = before.status.drain().map_err(|wrong| Rejection::WrongState(wrong.to_string()))?;
        if self.within.is_some_and(|within| within > DRAIN_MAX) {
            let field = FieldPath::new("deadline_seconds");
            return Err(Rejection::invalid(field, "too long", format!("at most {}", DRAIN_MAX.as_secs())));
        }
        let asked = self.within.map(|within| ctx.now + within);
        // Asked twice for the same, the first deadline stands, unless the other one is sooner.
        let drain_by = match (before.drain_by, asked) {
            (Some(known), Some(asked)) => Some(known.min(asked)),
            (known, asked) => asked.or(known),
        };
        let node = Node { status, drain_by, ..Node::clone(before) };
        change_node(ctx, before, node, "node.drain")
    }
}

/// Ends a drain and a cordon. Idempotent.
#[derive(Clone, Debug)]
pub struct UncordonNode {
    /// Which node.
    pub node: NodeId,
}

impl Command for UncordonNode {
    const ACTION: Action = Action::UncordonNode;
    type Output = Arc<Node>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.node(cluster, self.node)?;
        let status = before.status.uncordon().map_err(|wrong| Rejection::WrongState(wrong.to_string()))?;
        let node = Node {
            status,
            cordoned: false,
            drain_by: None,
            drain_waits: BTreeMap::new(),
            ..Node::clone(before)
        };
        change_node(ctx, before, node, "node.uncordon")
    }
}

/// Writes a node whose status or cordon an administrator changed, if he did.
pub(super) fn change_node(
    ctx: &mut Ctx<'_>,
    before: &Arc<Node>,
    node: Node,
    action: &str,
) -> Result<Decision<Arc<Node>>, Rejection> {
    if node == **before {
        return Ok(Decision::unchanged(Arc::clone(before)).about(before.id));
    }
    let mut transaction = Transaction::default();
    ctx.note_node_status(&mut transaction, before.status, &node);
    if node.cordoned != before.cordoned {
        let message = format!(
            "node {} is {}",
            node.name,
            if node.cordoned { "cordoned" } else { "no longer cordoned" }
        );
        transaction.events.push(ctx.node_event(EventKind::NodeCordonChanged, &node, message));
    }
    transaction.audit.push(ctx.node_audit(action, &node));
    let node = Node { revision: ctx.revision, updated_at: ctx.now, ..node };
    let node = write_node(&mut transaction, node);
    let id = node.id;
    Ok(Decision::commit(transaction, node).about(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CordonNode, NodeFellSilent, RevokeNode};
    use crate::node::{Incarnation, NodeStatus, OfflineCause, Resources};
    use crate::testing::World;

    fn world() -> (World, NodeId) {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        (world, node)
    }

    #[test]
    fn a_drain_begins_once_and_ends_with_the_cordon() {
        let (mut world, node) = world();
        world.execute(CordonNode { node }).unwrap();
        let draining = world.execute(DrainNode { node, within: None }).unwrap();
        assert_eq!(draining.status, NodeStatus::Draining);
        let revision = world.cluster.revision();
        world.execute(DrainNode { node, within: None }).unwrap();
        assert_eq!(world.cluster.revision(), revision);

        let back = world.execute(UncordonNode { node }).unwrap();
        assert!(back.takes_new_tasks());
        let actions: Vec<_> = world.audit.iter().map(|record| record.action.as_str()).collect();
        assert!(actions.ends_with(&["node.cordon", "node.drain", "node.uncordon"]), "{actions:?}");
        assert_eq!(world.count(EventKind::NodeStatusChanged), 2);
        assert_eq!(world.count(EventKind::NodeCordonChanged), 2);
    }

    #[test]
    fn a_node_that_is_away_is_drained_when_it_returns() {
        let (mut world, node) = world();
        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        let away = world.execute(DrainNode { node, within: None }).unwrap();
        let cause = OfflineCause::Silent;
        assert_eq!(away.status, NodeStatus::Offline { since: world.now, cause, draining: true });
        assert_eq!(away.status.seen(), Ok(NodeStatus::Draining));
    }

    #[test]
    fn a_deadline_is_set_once_comes_sooner_if_asked_and_ends_with_the_drain() {
        let (mut world, node) = world();
        let within = |seconds| DrainNode { node, within: Some(Duration::from_secs(seconds)) };
        assert_eq!(world.execute(within(600)).unwrap().drain_by, Some(world.now + Duration::from_secs(600)));
        let revision = world.cluster.revision();
        world.advance(Duration::from_secs(1));
        world.execute(within(600)).unwrap();
        world.execute(DrainNode { node, within: None }).unwrap();
        assert_eq!(world.cluster.revision(), revision, "the first one stands");
        assert_eq!(world.execute(within(0)).unwrap().drain_by, Some(world.now));
        assert_eq!(world.execute(UncordonNode { node }).unwrap().drain_by, None);
        assert!(matches!(world.execute(within(u64::MAX)), Err(Rejection::Invalid { .. })));
    }

    #[test]
    fn a_revoked_node_is_neither_drained_nor_uncordoned() {
        let (mut world, node) = world();
        world.execute(RevokeNode { node }).unwrap();
        assert!(matches!(world.execute(DrainNode { node, within: None }), Err(Rejection::WrongState(_))));
        assert!(matches!(world.execute(UncordonNode { node }), Err(Rejection::WrongState(_))));
        let nobody = World::new().execute(DrainNode { node, within: None });
        assert_eq!(nobody.unwrap_err(), Rejection::not_found("node", node));
    }
}
