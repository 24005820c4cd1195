//! Which of the nodes that can take a task is best.

use crate::cluster::NodeUsage;
use crate::cluster::capacity::{Extent, Room};
use crate::id::NodeId;
use crate::node::{Node, Resources};
use crate::service::Strategy;

/// How good a node is for one more task: lower is better, the most important first. The id ends it, so that equal nodes
/// always sort the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// Such a task just failed there.
    pub avoided: bool,
    /// Tasks of the same service that run there: replicas spread. 0 where they are packed.
    pub same_service: u32,
    /// The fuller of CPU and memory with the task placed, in thousandths; what is left of it where tasks are packed.
    pub fullest_resource_permille: u32,
    /// Tasks of any service that run there; the more the better where they are packed.
    pub tasks: u32,
    /// The node.
    pub node: NodeId,
}

impl Score {
    /// Of a node with `usage` taken, for one more task of a service that has `same_service` tasks there.
    #[must_use]
    pub fn of(
        node: &Node,
        usage: &NodeUsage,
        requests: Resources,
        strategy: Strategy,
        same_service: u32,
        avoided: bool,
    ) -> Self {
        Self::of_room(&Room::of(node, usage), requests, strategy, same_service, avoided)
    }

    /// The same, of what the index says of a node.
    #[must_use]
    pub fn of_room(
        room: &Room,
        requests: Resources,
        strategy: Strategy,
        same_service: u32,
        avoided: bool,
    ) -> Self {
        let after = room.reserved + requests;
        let fullest = permille(after.cpu_millis, room.allocatable.cpu_millis)
            .max(permille(after.memory_bytes, room.allocatable.memory_bytes));
        let (same_service, fullest_resource_permille, tasks) = match strategy {
            Strategy::Spread => (same_service, fullest, room.tasks),
            Strategy::Binpack => (0, u32::MAX - fullest, u32::MAX - room.tasks),
        };
        Self { avoided, same_service, fullest_resource_permille, tasks, node: room.node }
    }

    /// What no node within these bounds is better than, whatever it runs. Too good a score costs time, one that a node beats
    /// costs the right answer.
    #[must_use]
    pub fn at_best(extent: &Extent, requests: Resources, strategy: Strategy) -> Self {
        let (fullest_resource_permille, tasks) = match strategy {
            Strategy::Spread => (extent.at_least_permille_with(requests), extent.fewest_tasks),
            Strategy::Binpack => {
                (u32::MAX - extent.at_most_permille_with(requests), u32::MAX - extent.most_tasks)
            }
        };
        Self { avoided: false, same_service: 0, fullest_resource_permille, tasks, node: extent.first }
    }
}

/// Nothing of nothing is empty; something of nothing is full.
fn permille(used: u64, all: u64) -> u32 {
    if used == 0 {
        return 0;
    }
    // Beyond what a machine can have the figure stops growing; that is still full.
    let permille = used.saturating_mul(1000) / all.max(1);
    u32::try_from(permille).unwrap_or(u32::MAX)
}
