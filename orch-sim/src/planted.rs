//! Faults that are planted to see that the oracle finds them: an oracle that cannot fail proves nothing.

use std::collections::BTreeMap;

use orch_core::schedule::{Placement, Problem, Scheduler, Solution};

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The scheduler looks at no node's room, and there is little of it.
    DoubleBooking,
    /// The disk acknowledges a group now and then without having written it.
    LostWrites,
    /// The network swallows each report that a task is removed, and says that it was taken.
    SwallowedRemovals,
}

/// Places each task on the first node, whatever room there is.
#[derive(Debug)]
pub(crate) struct FirstNode;

impl Scheduler for FirstNode {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        // By id, so that equal problems have equal solutions.
        let nodes: BTreeMap<_, _> = problem.cluster.nodes().map(|node| (node.id, node)).collect();
        let Some(node) = nodes.keys().next().copied() else {
            return Solution { placements: Vec::new(), unplaced: Some("there is no node".to_owned()) };
        };
        let placement = Placement { node, ports: Vec::new() };
        Solution { placements: vec![placement; problem.count as usize], unplaced: None }
    }
}
