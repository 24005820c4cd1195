//! [`FilterAndScore`]: the default scheduler. Nodes that cannot take a task are filtered out, the others are ordered by score.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::filter::{Demand, admits, fits};
use super::{Placement, Problem, Reasons, Scheduler, Score, Solution, ports};
use crate::cluster::NodeUsage;
use crate::id::NodeId;
use crate::node::Node;

/// Spreads the replicas of a service over nodes and fills nodes evenly, or packs them, as the spec's strategy says.
///
/// Equal tasks are solved together: the nodes are filtered and scored once, then each placement takes the best from a heap
/// and puts it back with its new score, so that it costs O(log nodes).
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterAndScore;

/// A node that can take at least one more.
struct Candidate<'a> {
    node: &'a Node,
    usage: Cow<'a, NodeUsage>,
}

impl Scheduler for FilterAndScore {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        let demand = Demand::of_spec(problem.spec);
        let specs = &problem.spec.template.ports;
        let strategy = problem.spec.strategy;
        let untouched = NodeUsage::default();
        let index = problem.cluster.index();
        let same_service = replicas_by_node(problem);

        let mut reasons = Reasons::default();
        let mut candidates = Vec::new();
        let mut best = Vec::new();
        for node in problem.cluster.nodes() {
            let usage = index.usage(node.id).unwrap_or(&untouched);
            let fit = admits(node, &problem.spec.constraints).and_then(|()| fits(node, usage, &demand));
            match fit {
                Err(misfit) => reasons.add(misfit),
                Ok(()) => {
                    let replicas = same_service.get(&node.id).copied().unwrap_or(0);
                    let avoided = problem.avoid.contains(&node.id);
                    let score = Score::of(node, usage, demand.requests, strategy, replicas, avoided);
                    best.push(Reverse((score, candidates.len())));
                    candidates.push(Candidate { node, usage: Cow::Borrowed(usage) });
                }
            }
        }

        let mut best = BinaryHeap::from(best);
        let mut solution = Solution::default();
        while solution.placements.len() < problem.count as usize {
            let Some(Reverse((score, at))) = best.pop() else {
                solution.unplaced = Some(reasons.to_string());
                break;
            };
            let Candidate { node, usage } = &mut candidates[at];
            let start = ports::search_start(problem.cluster, problem.service, node.id);
            let Some(ports) = ports::assign(specs, &usage.ports, start) else {
                // `fits` counts ports, so this is unreachable for specs whose ports differ; admission sees to that.
                reasons.add(super::Misfit::NoDynamicPort);
                continue;
            };
            let usage = usage.to_mut();
            usage.reserved += demand.requests;
            usage.tasks += 1;
            for port in &ports {
                usage.ports.insert((port.protocol, port.host_port.get()));
            }
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

/// How many wanted tasks of the service each node has.
fn replicas_by_node(problem: &Problem<'_>) -> BTreeMap<NodeId, u32> {
    let mut replicas = BTreeMap::new();
    for task in problem.cluster.tasks_of_service(problem.service).filter(|task| task.is_active()) {
        if let Some(node) = task.node {
            *replicas.entry(node).or_insert(0) += 1;
        }
    }
    replicas
}
