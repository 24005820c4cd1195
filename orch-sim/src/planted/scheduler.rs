//! Schedulers that are wrong.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use orch_core::node::{Node, NodeStatus};
use orch_core::schedule::{FilterAndScore, Placement, Problem, Scheduler, Solution};

use super::Planted;

/// The production scheduler, with one thing wrong.
#[derive(Debug)]
pub(crate) struct Faulty(pub(crate) Planted);

impl Scheduler for Faulty {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        match self.0 {
            Planted::DoubleBooking => first_node(problem),
            Planted::DoublePort => {
                let mut solution = FilterAndScore.solve(problem);
                let ports = solution.placements.iter_mut().flat_map(|placement| &mut placement.ports);
                ports.for_each(|port| port.host_port = NonZeroU16::new(30_000).expect("not zero"));
                solution
            }
            Planted::DrainedNodeUsed => {
                onto(problem, |node| node.status == NodeStatus::Draining || node.cordoned)
            }
            Planted::HalfPlaced => {
                let mut solution = FilterAndScore.solve(problem);
                solution.placements.truncate(solution.placements.len() / 2);
                Solution { unplaced: None, ..solution }
            }
            Planted::RevokedNodeUsed => onto(problem, |node| node.status == NodeStatus::Revoked),
            _ => FilterAndScore.solve(problem),
        }
    }
}

/// Each task on the first node, whatever room there is.
fn first_node(problem: &Problem<'_>) -> Solution {
    // By id, so that equal problems have equal solutions.
    let nodes: BTreeMap<_, _> = problem.cluster.nodes().map(|node| (node.id, node)).collect();
    let Some(node) = nodes.keys().next().copied() else {
        return Solution { placements: Vec::new(), unplaced: Some("there is no node".to_owned()) };
    };
    let placement = Placement { node, ports: Vec::new() };
    Solution { placements: vec![placement; problem.count as usize], unplaced: None }
}

/// Onto a node that should have none, if there is one.
fn onto(problem: &Problem<'_>, wrong: impl Fn(&Node) -> bool) -> Solution {
    let mut solution = FilterAndScore.solve(problem);
    if let Some(node) = problem.cluster.nodes().find(|node| wrong(node)) {
        solution.placements.iter_mut().for_each(|placement| placement.node = node.id);
    }
    solution
}
