//! What the control plane says of nodes that say nothing.

use super::versions::write_node;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Change, Cluster, Transaction};
use crate::id::NodeId;
use crate::identity::Action;
use crate::node::silence::{Silence, is_news};
use crate::node::{Hearing, Incarnation, Node, NodeStatus, OfflineCause};
use crate::record::{EventKind, Severity};

/// No heartbeat for the timeout: the node is offline. Nothing to do where it registered anew, or is away already.
///
/// If it is one of too many that fell silent at once, the replacement of the tasks of all of them is held (M41).
#[derive(Clone, Debug)]
pub struct NodeFellSilent {
    /// Which node.
    pub node: NodeId,
    /// The registration that fell silent.
    pub incarnation: Incarnation,
    /// Who else is not heard.
    pub hearing: Hearing,
}

impl NodeFellSilent {
    /// Of a node while all others are heard.
    #[must_use]
    pub fn alone(node: NodeId, incarnation: Incarnation) -> Self {
        Self { node, incarnation, hearing: Hearing::default() }
    }
}

/// Of the nodes that fell silent together enough are heard again, or are not any more.
#[derive(Clone, Debug)]
pub struct ReviewSilence {
    /// Who is not heard.
    pub hearing: Hearing,
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
        let mut transaction = Transaction::default();
        let node = with_status(ctx, before, before.status.gone(ctx.now, OfflineCause::Silent));
        let message = format!("node {} sends no heartbeats", node.name);
        let mut event = ctx.node_event(EventKind::NodeOfflineDetected, &node, message);
        event.severity = Severity::Warning;
        transaction.events.push(event);
        ctx.note_node_status(&mut transaction, before.status, &node);

        let mut draft = cluster.clone();
        draft.apply_change(&Change::from(node.clone()));
        let silence = Silence::count(&draft, &self.hearing, ctx.now);
        if ctx.policy.mass_silence.is_mass(silence) {
            hold(&mut transaction, &draft, &self.hearing, silence, ctx);
        } else {
            write_node(&mut transaction, node);
        }
        Ok(Decision::commit(transaction, ()))
    }
}

impl Command for ReviewSilence {
    const ACTION: Action = Action::Control;
    /// Whether anything is held still.
    type Output = bool;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<bool>, Rejection> {
        let held: Vec<&Node> =
            cluster.nodes().map(|node| &**node).filter(|node| node.status.is_held(ctx.now)).collect();
        if held.is_empty() {
            return Ok(Decision::unchanged(false));
        }
        let silence = Silence::count(cluster, &self.hearing, ctx.now);
        let mut transaction = Transaction::default();
        if ctx.policy.mass_silence.is_mass(silence) {
            hold(&mut transaction, cluster, &self.hearing, silence, ctx);
            return Ok(Decision::commit(transaction, true));
        }
        let replace_at = ctx.now + self.hearing.window;
        for node in held.into_iter().filter(|node| node.status.offline_for(FOR_NOW) == node.status) {
            let cause = OfflineCause::SilentWithMany { replace_at: Some(replace_at) };
            let row = with_status(ctx, node, node.status.offline_for(cause));
            write_node(&mut transaction, row);
        }
        if !transaction.is_empty() {
            let Silence { silent, of } = silence;
            let message = format!(
                "{silent} of {of} nodes are silent, which is not too many any more: what is silent still at {replace_at} is replaced"
            );
            say(&mut transaction, EventKind::SilenceEased, Severity::Warning, message, ctx);
        }
        Ok(Decision::commit(transaction, true))
    }
}

/// Until further notice.
const FOR_NOW: OfflineCause = OfflineCause::SilentWithMany { replace_at: None };

/// Holds the replacement of all that fell silent within the window, and says so once.
fn hold(
    transaction: &mut Transaction,
    cluster: &Cluster,
    hearing: &Hearing,
    silence: Silence,
    ctx: &mut Ctx<'_>,
) {
    let mut known = false;
    for node in cluster.nodes().filter(|node| is_news(node.status, hearing, ctx.now)) {
        let status = node.status.offline_for(FOR_NOW);
        if status == node.status {
            known = true;
        } else {
            let row = with_status(ctx, node, status);
            write_node(transaction, row);
        }
    }
    if !known {
        let Silence { silent, of } = silence;
        let message = format!(
            "{silent} of {of} nodes fell silent within {} s: likelier the way to them than the machines, so their tasks are \
             not replaced until enough of them are heard again; `orch node give-up` says that a node is lost",
            hearing.window.as_secs()
        );
        say(transaction, EventKind::SilenceHeld, Severity::Error, message, ctx);
    }
}

fn with_status(ctx: &Ctx<'_>, node: &Node, status: NodeStatus) -> Node {
    Node { status, revision: ctx.revision, updated_at: ctx.now, ..node.clone() }
}

/// Says something of the cluster as a whole.
fn say(
    transaction: &mut Transaction,
    kind: EventKind,
    severity: Severity,
    message: String,
    ctx: &mut Ctx<'_>,
) {
    transaction.events.push(ctx.event(kind, severity, None, message));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Resources;
    use crate::testing::World;
    use std::collections::BTreeSet;
    use std::time::Duration;

    const WINDOW: Duration = Duration::from_secs(30);

    fn hearing(overdue: &[NodeId]) -> Hearing {
        Hearing { overdue: std::sync::Arc::new(BTreeSet::from_iter(overdue.iter().copied())), window: WINDOW }
    }

    fn falls(world: &mut World, node: NodeId, overdue: &[NodeId]) -> OfflineCause {
        let hearing = hearing(overdue);
        world.execute(NodeFellSilent { node, incarnation: Incarnation(1), hearing }).unwrap();
        cause(world, node)
    }

    fn cause(world: &World, node: NodeId) -> OfflineCause {
        match world.cluster.node(node).unwrap().status {
            NodeStatus::Offline { cause, .. } => cause,
            other => panic!("{other:?}"),
        }
    }

    fn cluster(nodes: usize) -> (World, Vec<NodeId>) {
        let mut world = World::new();
        let names = (0..nodes).map(|n| format!("n{n}"));
        let nodes = names.map(|name| world.register_node(&name, Resources::new(4000, 8 << 30))).collect();
        (world, nodes)
    }

    /// M41: the first of many to be found silent is held already, since the others are overdue; without looking at who is
    /// overdue its tasks would be replaced before the next is found.
    #[test]
    fn the_first_of_many_is_held_already_and_it_is_said_once() {
        let (mut world, nodes) = cluster(5);
        assert_eq!(falls(&mut world, nodes[0], &nodes[..3]), FOR_NOW);
        world.advance(Duration::from_secs(2));
        assert_eq!(falls(&mut world, nodes[1], &nodes[1..3]), FOR_NOW);
        assert_eq!(falls(&mut world, nodes[2], &nodes[2..3]), FOR_NOW);
        assert_eq!(world.count(EventKind::SilenceHeld), 1);
        assert_eq!(world.count(EventKind::NodeOfflineDetected), 3);
    }

    #[test]
    fn a_few_are_not_held_and_neither_are_many_one_after_the_other() {
        let (mut world, nodes) = cluster(5);
        assert_eq!(falls(&mut world, nodes[0], &nodes[..2]), OfflineCause::Silent);
        for node in &nodes[1..] {
            world.advance(WINDOW + Duration::from_secs(1));
            assert_eq!(falls(&mut world, *node, &[*node]), OfflineCause::Silent);
        }
        assert_eq!(world.count(EventKind::SilenceHeld), 0);
    }

    #[test]
    fn those_that_went_a_moment_before_it_were_too_many_are_held_too() {
        let (mut world, nodes) = cluster(4);
        assert_eq!(falls(&mut world, nodes[0], &nodes[..1]), OfflineCause::Silent);
        world.advance(Duration::from_secs(20));
        assert_eq!(falls(&mut world, nodes[1], &nodes[1..3]), FOR_NOW);
        assert_eq!(cause(&world, nodes[0]), FOR_NOW);
    }

    #[test]
    fn once_enough_are_heard_the_rest_has_a_fresh_grace_and_is_held_again_if_they_are_not() {
        let (mut world, nodes) = cluster(5);
        for node in &nodes[..3] {
            falls(&mut world, *node, &nodes[..3]);
        }
        let review = |overdue| ReviewSilence { hearing: hearing(overdue) };
        let revision = world.cluster.revision();
        assert!(world.execute(review(&[])).unwrap());
        assert_eq!(world.cluster.revision(), revision, "nothing has changed");

        world.execute(crate::command::RevokeNode { node: nodes[2] }).unwrap();
        assert!(world.execute(review(&[])).unwrap(), "2 of 4 are half");
        let eased = OfflineCause::SilentWithMany { replace_at: Some(world.now + WINDOW) };
        assert_eq!((cause(&world, nodes[0]), cause(&world, nodes[1])), (eased, eased));
        assert_eq!(world.count(EventKind::SilenceEased), 1);
        let revision = world.cluster.revision();
        assert!(world.execute(review(&[])).unwrap());
        assert_eq!(world.cluster.revision(), revision, "the grace is not begun anew");

        assert!(world.execute(review(&nodes[3..4])).unwrap());
        assert_eq!(cause(&world, nodes[0]), FOR_NOW);
        assert_eq!(world.count(EventKind::SilenceHeld), 2);
        assert!(world.execute(review(&[])).unwrap());
        world.advance(WINDOW);
        assert!(!world.execute(review(&[])).unwrap(), "their time is over");
    }

    #[test]
    fn only_the_registration_that_fell_silent_goes_offline_and_only_once() {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        world.execute(NodeFellSilent::alone(node, Incarnation(0))).unwrap();
        assert_eq!(world.cluster.node(node).unwrap().status, NodeStatus::Ready);

        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        let offline = NodeStatus::Offline { since: world.now, cause: OfflineCause::Silent, draining: false };
        assert_eq!(world.cluster.node(node).unwrap().status, offline);
        assert_eq!(world.count(EventKind::NodeOfflineDetected), 1);
        assert_eq!(world.count(EventKind::NodeStatusChanged), 1);

        let revision = world.cluster.revision();
        world.execute(NodeFellSilent::alone(node, Incarnation(1))).unwrap();
        assert_eq!(world.cluster.revision(), revision);
    }
}
