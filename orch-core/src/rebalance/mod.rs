//! Which tasks would run better elsewhere, now that nodes joined or came back (M16). Pure, and by the scheduler that places tasks.
//!
//! A task moves only where that is worth it: where fewer replicas of its service are beside it, or to a node that is less full
//! by [`MARGIN_PERMILLE`] with the task on it, and no more replicas beside it. So a plan that was carried out leads to none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::cluster::{Change, Cluster, Key, NodeUsage};
use crate::id::{NodeId, TaskId};
use crate::name::{Namespace, NodeName};
use crate::node::NodeStatus;
use crate::schedule::{Placement, Problem, Scheduler, Score};
use crate::service::{Service, ServiceStatus, Strategy};
use crate::task::{StopCause, Task};
use crate::time::Timestamp;

/// How much fuller, in thousandths of CPU or memory, a node must be for a task to leave it for another one.
pub const MARGIN_PERMILLE: u32 = 200;
/// How many moves one plan has at most.
const MOVES_MAX: usize = 500;

/// A task that would run better elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub task: TaskId,
    /// As people call it: `web.3`.
    pub name: String,
    /// Where it is.
    pub from: NodeName,
    /// Where it would go, as of now.
    pub to: NodeName,
    /// What is better there.
    pub gain: Gain,
}

/// What a move is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gain {
    /// Fewer replicas of the service beside it.
    Spread {
        /// Where it is.
        from: u32,
        /// Where it goes.
        to: u32,
    },
    /// A node that is less full, in thousandths, with the task on it.
    Room {
        /// Where it is.
        from: u32,
        /// Where it goes.
        to: u32,
    },
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spread { from, to } => {
                write!(f, "{to} other replicas of its service there, {from} where it is")
            }
            Self::Room { from, to } => {
                write!(f, "that node would be {} % full, this one is {} %", to / 10, from / 10)
            }
        }
    }
}

/// What a rebalance would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebalance {
    /// In the order to be carried out.
    pub moves: Vec<Move>,
    /// Services that are left alone, by name, and why.
    pub skipped: Vec<(String, &'static str)>,
    /// Tasks that are on their way already.
    pub under_way: u32,
}

/// Plans for the services of the namespaces that `sees` answers `true` for.
#[must_use]
pub fn plan(
    cluster: &Cluster,
    scheduler: &dyn Scheduler,
    sees: impl Fn(&Namespace) -> bool,
    now: Timestamp,
) -> Rebalance {
    let mut plan = Rebalance::default();
    let active = cluster.services().filter(|service| service.status == ServiceStatus::Active);
    let mut services: Vec<_> = active.filter(|service| sees(&service.namespace)).collect();
    services.sort_by_key(|service| (service.namespace.clone(), service.spec.name.clone()));
    let mut draft = cluster.clone();
    for service in services {
        let under_way = cluster.tasks_of_service(service.id).filter(|task| is_under_way(task, now)).count();
        plan.under_way += u32::try_from(under_way).unwrap_or(u32::MAX);
        match left_alone(cluster, service) {
            Some(why) => plan.skipped.push((service.spec.name.to_string(), why)),
            None => spread(&mut plan, &mut draft, service, scheduler, now),
        }
    }
    plan
}

fn is_under_way(task: &Task, now: Timestamp) -> bool {
    let leaves = task.is_active() && task.moves_until.is_some_and(|until| now < until);
    leaves || (task.stop_cause == Some(StopCause::Moved) && !task.status.is_terminal())
}

/// Why a service is not moved about.
#[must_use]
pub fn left_alone(cluster: &Cluster, service: &Service) -> Option<&'static str> {
    if service.spec.stateful {
        return Some("a stateful replica keeps its node");
    }
    if service.spec.strategy == Strategy::Binpack {
        return Some("it is packed onto few nodes on purpose");
    }
    if cluster.active_deployment(service.id).is_some() {
        return Some("a rollout is under way or paused");
    }
    let serving = cluster.tasks_of_service(service.id).filter(|task| crate::api::task::serves(cluster, task));
    (serving.count() < service.spec.replicas as usize).then_some("not all of its replicas serve")
}

/// Moves tasks of one service in the draft until none gains by it.
fn spread(
    plan: &mut Rebalance,
    draft: &mut Cluster,
    service: &Arc<Service>,
    scheduler: &dyn Scheduler,
    now: Timestamp,
) {
    let mut moved = arrive(draft, service, scheduler, now);
    while plan.moves.len() < MOVES_MAX {
        let Some((task, placement, gain)) = best(draft, service, scheduler, &moved) else { return };
        let name = |id: NodeId| draft.node(id).map(|node| node.name.clone());
        let (Some(from), Some(to)) = (task.node.and_then(name), name(placement.node)) else { return };
        plan.moves.push(Move {
            task: task.id,
            name: format!("{}.{}", service.spec.name, task.slot),
            from,
            to,
            gain,
        });
        moved.insert(task.id);
        let row = Task { node: Some(placement.node), ports: placement.ports, ..Task::clone(&task) };
        draft.apply_change(&Change::Remove(Key::Task(task.id)));
        draft.apply_change(&Change::Task(Arc::new(row)));
    }
}

/// What is on its way has arrived in the draft: where its replacement is, else where that would go. Answers which those are.
fn arrive(
    draft: &mut Cluster,
    service: &Service,
    scheduler: &dyn Scheduler,
    now: Timestamp,
) -> BTreeSet<TaskId> {
    let tasks: Vec<_> = draft.tasks_of_service(service.id).filter(|task| task.is_active()).cloned().collect();
    let mut arrived = BTreeSet::new();
    for task in tasks.iter().filter(|task| is_under_way(task, now)) {
        arrived.insert(task.id);
        draft.apply_change(&Change::Remove(Key::Task(task.id)));
        if tasks.iter().any(|other| other.id != task.id && other.slot == task.slot) {
            continue;
        }
        let problem =
            Problem { cluster: &*draft, spec: &service.spec, service: service.id, count: 1, avoid: &[] };
        if let Some(Placement { node, ports }) = scheduler.solve(&problem).placements.into_iter().next() {
            let row = Task { node: Some(node), ports, ..Task::clone(task) };
            draft.apply_change(&Change::Task(Arc::new(row)));
        }
    }
    arrived
}

/// The first task, of the fullest node first, that gains by a move.
fn best(
    draft: &Cluster,
    service: &Service,
    scheduler: &dyn Scheduler,
    moved: &BTreeSet<TaskId>,
) -> Option<(Arc<Task>, Placement, Gain)> {
    let mut here: BTreeMap<NodeId, Vec<Arc<Task>>> = BTreeMap::new();
    for task in draft.tasks_of_service(service.id).filter(|task| task.is_active()) {
        here.entry(task.node?).or_default().push(Arc::clone(task));
    }
    let mut nodes: Vec<_> = here.iter().collect();
    nodes.sort_by_key(|(node, tasks)| (std::cmp::Reverse(tasks.len()), **node));
    for (node, tasks) in nodes {
        // One that is being emptied, or does not answer, is someone else's to look after.
        if draft.node(*node).is_none_or(|node| node.status != NodeStatus::Ready) {
            continue;
        }
        let task = tasks.iter().find(|task| !moved.contains(&task.id));
        let Some(task) = task else { continue };
        let mut without = draft.clone();
        without.apply_change(&Change::Remove(Key::Task(task.id)));
        let problem =
            Problem { cluster: &without, spec: &service.spec, service: service.id, count: 1, avoid: &[] };
        let Some(placement) = scheduler.solve(&problem).placements.into_iter().next() else { continue };
        let beside = |node: NodeId| here.get(&node).map_or(0, Vec::len);
        let score = |node: NodeId, beside: usize| {
            let row = without.node(node)?;
            let usage = without.index().usage(node).cloned().unwrap_or_else(NodeUsage::default);
            let beside = u32::try_from(beside).unwrap_or(u32::MAX);
            Some(Score::of(row, &usage, task.requests, Strategy::Spread, beside, false))
        };
        let (from, to) = (score(*node, beside(*node) - 1)?, score(placement.node, beside(placement.node))?);
        if let Some(gain) = gain(&from, &to).filter(|_| placement.node != *node) {
            return Some((Arc::clone(task), placement, gain));
        }
    }
    None
}

fn gain(from: &Score, to: &Score) -> Option<Gain> {
    if to.same_service < from.same_service {
        return Some(Gain::Spread { from: from.same_service, to: to.same_service });
    }
    let (full, free) = (from.fullest_resource_permille, to.fullest_resource_permille);
    let worth_it = to.same_service == from.same_service && full >= free.saturating_add(MARGIN_PERMILLE);
    worth_it.then_some(Gain::Room { from: full, to: free })
}
