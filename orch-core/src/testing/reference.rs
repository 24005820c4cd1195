//! [`ScanEveryNode`]: what the default scheduler answers, found the plain way.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::cluster::NodeUsage;
use crate::id::NodeId;
use crate::node::Node;
use crate::schedule::filter::{Misfit, admits};
use crate::schedule::{Demand, Placement, Problem, Reasons, Scheduler, Score, Solution, fits, ports};

/// Filters and scores every node for each problem. Its answers are what
/// [`FilterAndScore`](crate::schedule::FilterAndScore), which looks at few nodes, is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanEveryNode;

struct Candidate<'a> {
    node: &'a Node,
    usage: NodeUsage,
}

impl Scheduler for ScanEveryNode {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        let demand = Demand::of_spec(problem.spec);
        let strategy = problem.spec.strategy;
        let mut replicas: BTreeMap<NodeId, u32> = BTreeMap::new();
        for task in problem.cluster.tasks_of_service(problem.service).filter(|task| task.is_active()) {
            if let Some(node) = task.node {
                *replicas.entry(node).or_default() += 1;
            }
        }

        let mut reasons = Reasons::default();
        let mut candidates = Vec::new();
        let mut best = BinaryHeap::new();
        for node in problem.cluster.nodes() {
            let usage = problem.cluster.index().usage(node.id).cloned().unwrap_or_default();
            let fit = admits(node, &problem.spec.constraints).and_then(|()| fits(node, &usage, &demand));
            match fit {
                Err(misfit) => reasons.add(misfit),
                Ok(()) => {
                    let replicas = replicas.get(&node.id).copied().unwrap_or(0);
                    let avoided = problem.avoid.contains(&node.id);
                    let score = Score::of(node, &usage, demand.requests, strategy, replicas, avoided);
                    best.push(Reverse((score, candidates.len())));
                    candidates.push(Candidate { node, usage });
                }
            }
        }

        let mut solution = Solution::default();
        while solution.placements.len() < problem.count as usize {
            let Some(Reverse((score, at))) = best.pop() else {
                solution.unplaced = Some(reasons.to_string());
                break;
            };
            let Candidate { node, usage } = &mut candidates[at];
            let start = ports::search_start(problem.cluster, problem.service, node.id);
            let Some(ports) = ports::assign(&problem.spec.template.ports, &usage.ports, start) else {
                reasons.add(Misfit::NoDynamicPort);
                continue;
            };
            usage.reserved += demand.requests;
            usage.tasks += 1;
            usage.ports.extend(ports.iter().map(|port| (port.protocol, port.host_port.get())));
            solution.placements.push(Placement { node: node.id, ports });
            match fits(node, usage, &demand) {
                Ok(()) => {
                    let replicas = score.same_service + 1;
                    let next = Score::of(node, usage, demand.requests, strategy, replicas, score.avoided);
                    best.push(Reverse((next, at)));
                }
                Err(misfit) => reasons.add(misfit),
            }
        }
        solution
    }
}
