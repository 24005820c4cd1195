//! M41: while most nodes are cut off together, none of them is given up for lost.

use std::collections::BTreeSet;
use std::time::Duration;

use orch_core::cluster::Cluster;
use orch_core::control_plane::query::View;
use orch_core::control_plane::{ControlPlane, NodeLiveness};
use orch_core::id::NodeId;
use orch_core::node::{Node, NodeStatus, OfflineCause};
use orch_core::task::{DesiredStatus, StopCause, TaskStatus};

use crate::workload::nodes;
use crate::world::World;

/// So long it may take the control plane to see that the share has risen again.
const NOTICE: Duration = Duration::from_secs(10);

/// Nodes that were cut off together.
#[derive(Debug)]
pub struct Apart {
    nodes: BTreeSet<NodeId>,
    /// Those that were heard as well, and were not cut off.
    others: BTreeSet<NodeId>,
    /// When they are no longer.
    pub until: Duration,
}

impl Apart {
    /// More than half of the nodes that the server hears, from the `first` on; `None`: there are fewer than three.
    #[must_use]
    pub fn most(control: &ControlPlane, first: u64, until: Duration) -> Option<Self> {
        let view = nodes(control)?;
        let heard: Vec<NodeId> = view
            .cluster()
            .nodes()
            .filter(|node| answers(node) && view.liveness(node.id) == NodeLiveness::Alive)
            .map(|node| node.id)
            .collect();
        if heard.len() < 3 {
            return None;
        }
        let first = usize::try_from(first % heard.len() as u64).unwrap_or(0);
        let mut heard_from = heard.iter().cycle().skip(first).copied();
        let nodes = heard_from.by_ref().take(heard.len() / 2 + 1).collect();
        let others = heard_from.take(heard.len() - heard.len() / 2 - 1).collect();
        Some(Self { nodes, others, until })
    }

    /// Whether a node is one of them.
    #[must_use]
    pub fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// Whether so many of them are silent that the control plane should think of itself first.
    fn are_too_many(&self, view: &View) -> bool {
        let silent = |node: &&Node| {
            self.has(node.id)
                && view.liveness(node.id) != NodeLiveness::Alive
                && (answers(node)
                    || matches!(node.status, NodeStatus::Offline { cause, .. } if cause != OfflineCause::Shutdown))
        };
        // Where people take nodes away meanwhile, those that are left and silent become the most without falling silent.
        let stands =
            |node: &NodeId| view.cluster().node(*node).is_some_and(|node| node.status != NodeStatus::Revoked);
        if !self.others.iter().all(stands) {
            return false;
        }
        let nodes: Vec<&Node> = view.cluster().nodes().map(|node| &**node).collect();
        let silent: BTreeSet<NodeId> = nodes.iter().copied().filter(silent).map(|node| node.id).collect();
        let heard = nodes.iter().filter(|node| answers(node) && !silent.contains(&node.id)).count();
        silent.len() + heard >= 3 && silent.len() > heard
    }
}

fn answers(node: &Node) -> bool {
    matches!(node.status, NodeStatus::Ready | NodeStatus::Draining)
}

/// Since when too many are apart.
#[derive(Debug, Default)]
pub struct Watch {
    since: Option<Duration>,
}

impl Watch {
    /// Holds the step from one image to the next against it.
    ///
    /// # Errors
    /// A task was given up with its node, which was one of too many.
    pub fn check(&mut self, world: &World, control: &ControlPlane, before: &Cluster) -> Result<(), String> {
        let Some(apart) = &world.apart else {
            self.since = None;
            return Ok(());
        };
        let Some(view) = nodes(control) else { return Ok(()) };
        let (after, now) = (view.cluster(), world.sim.elapsed());
        if !apart.are_too_many(&view) {
            self.since = None;
            return Ok(());
        }
        if now.saturating_sub(*self.since.get_or_insert(now)) < NOTICE {
            return Ok(());
        }
        let given_up = before.tasks().filter(|task| task.is_active()).find(|task| {
            let Some(node) = task.node.filter(|node| apart.has(*node)) else { return false };
            after.task(task.id).is_some_and(|now| {
                now.desired == DesiredStatus::Removed
                    && now.stop_cause == Some(StopCause::NodeLost)
                    // One that ended with its node did so since a person removed or revoked that.
                    && now.status != TaskStatus::Removed
            }) && after.node(node).is_some_and(|node| node.status != NodeStatus::Revoked)
        });
        match given_up {
            Some(task) => Err(format!("9: {} was given up while most nodes were cut off", task.id)),
            None => Ok(()),
        }
    }
}
