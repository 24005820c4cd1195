//! [`FilterAndScore`]: the default scheduler. Nodes that cannot take a task are filtered out, the others are ordered by score.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};

use super::filter::{Demand, Misfit, admits, fits};
use super::{Placement, Problem, Reasons, Scheduler, Score, Solution, ports};
use crate::cluster::NodeUsage;
use crate::cluster::capacity::{Branch, Part, Room};
use crate::id::NodeId;
use crate::node::Node;

/// Spreads the replicas of a service over nodes and fills nodes evenly, or packs them, as the spec's strategy says.
///
/// It answers what a scan of all nodes would, and looks at few: the best place is sought in the cluster's tree of
/// [`Capacity`](crate::cluster::Capacity), from the root, always in the branch that promises most, until a node has come out
/// that nothing else can beat. Equal tasks are solved together: a node that took one goes back with its new score.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilterAndScore;

impl Scheduler for FilterAndScore {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        let mut search = Search::new(problem);
        let mut solution = Solution::default();
        while solution.placements.len() < problem.count as usize {
            let Some((score, at)) = search.best() else {
                solution.unplaced = Some(search.reasons().to_string());
                break;
            };
            solution.placements.extend(search.place(score, at));
        }
        solution
    }
}

/// A node that was found fit, with what it holds by now.
struct Candidate<'a> {
    node: &'a Node,
    usage: Cow<'a, NodeUsage>,
}

/// What has a score: at least as good as anything that comes of it.
enum Found<'a> {
    Branch(&'a Branch),
    /// Nobody has asked yet whether it may be used.
    Room(&'a Room),
    Candidate(usize),
}

/// Ordered by score alone: no two entries have the same, since a node is in one of them only.
struct Entry<'a> {
    score: Score,
    found: Found<'a>,
}

impl Ord for Entry<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.cmp(&other.score)
    }
}

impl PartialOrd for Entry<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry<'_> {}

/// One problem on its way to be solved.
struct Search<'a> {
    problem: &'a Problem<'a>,
    demand: Demand,
    /// How many wanted tasks of the service each node has.
    replicas: BTreeMap<NodeId, u32>,
    open: BinaryHeap<Reverse<Entry<'a>>>,
    candidates: Vec<Candidate<'a>>,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem<'a>) -> Self {
        let demand = Demand::of_spec(problem.spec);
        let replicas = replicas_by_node(problem);
        let mut search = Self { problem, demand, replicas, open: BinaryHeap::new(), candidates: Vec::new() };
        if let Some(root) = problem.cluster.index().capacity().root() {
            search.consider(Part::Branch(root));
        }
        search
    }

    /// Puts aside what may come into question, with its score. What has too little left below does not.
    fn consider(&mut self, part: Part<'a>) {
        let (requests, strategy) = (self.demand.requests, self.problem.spec.strategy);
        let entry = match part {
            Part::Branch(branch) if requests.fits_in(branch.extent().free) => Entry {
                score: Score::at_best(branch.extent(), requests, strategy),
                found: Found::Branch(branch),
            },
            Part::Room(room) if requests.fits_in(room.free()) => {
                let replicas = self.replicas.get(&room.node).copied().unwrap_or(0);
                let avoided = self.problem.avoid.contains(&room.node);
                let score = Score::of_room(room, requests, strategy, replicas, avoided);
                Entry { score, found: Found::Room(room) }
            }
            Part::Branch(_) | Part::Room(_) => return,
        };
        self.open.push(Reverse(entry));
    }

    /// The best node for one more task. It is out of the search until [`Search::place`] puts it back.
    fn best(&mut self) -> Option<(Score, usize)> {
        while let Some(Reverse(Entry { score, found })) = self.open.pop() {
            match found {
                Found::Candidate(at) => return Some((score, at)),
                Found::Branch(branch) => branch.each(|part| self.consider(part)),
                Found::Room(room) => {
                    let Some(node) = self.problem.cluster.node(room.node) else { continue };
                    let usage = self.usage(room.node);
                    if self.misfit(node, &usage).is_none() {
                        self.candidates.push(Candidate { node, usage });
                        return Some((score, self.candidates.len() - 1));
                    }
                }
            }
        }
        None
    }

    /// Places one task on a candidate that had this score, and puts it back while it has room for more.
    fn place(&mut self, score: Score, at: usize) -> Option<Placement> {
        let Candidate { node, usage } = &mut self.candidates[at];
        let start = ports::search_start(self.problem.cluster, self.problem.service, node.id);
        // `fits` counts ports, so one is there for specs whose ports differ; admission sees to that.
        let ports = ports::assign(&self.problem.spec.template.ports, &usage.ports, start)?;
        let usage = usage.to_mut();
        usage.reserved += self.demand.requests;
        usage.tasks += 1;
        for port in &ports {
            usage.ports.insert((port.protocol, port.host_port.get()));
        }
        if fits(node, usage, &self.demand).is_ok() {
            let replicas = score.same_service + 1;
            let strategy = self.problem.spec.strategy;
            let score = Score::of(node, usage, self.demand.requests, strategy, replicas, score.avoided);
            self.open.push(Reverse(Entry { score, found: Found::Candidate(at) }));
        }
        Some(Placement { node: node.id, ports })
    }

    fn usage(&self, node: NodeId) -> Cow<'a, NodeUsage> {
        match self.problem.cluster.index().usage(node) {
            Some(usage) => Cow::Borrowed(usage),
            None => Cow::Owned(NodeUsage::default()),
        }
    }

    fn misfit(&self, node: &Node, usage: &NodeUsage) -> Option<Misfit<'a>> {
        admits(node, &self.problem.spec.constraints).and_then(|()| fits(node, usage, &self.demand)).err()
    }

    /// Why no node can take one more. Looks at all of them.
    fn reasons(&self) -> Reasons<'a> {
        let used: BTreeMap<NodeId, &NodeUsage> =
            self.candidates.iter().map(|candidate| (candidate.node.id, &*candidate.usage)).collect();
        let mut reasons = Reasons::default();
        for node in self.problem.cluster.nodes() {
            let misfit = match used.get(&node.id) {
                Some(usage) => self.misfit(node, usage),
                None => self.misfit(node, &self.usage(node.id)),
            };
            reasons.add(misfit.unwrap_or(Misfit::NoDynamicPort));
        }
        reasons
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

#[cfg(test)]
mod tests;
