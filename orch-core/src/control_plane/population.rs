//! Gauges: how many nodes, services, tasks and deployments there are, by status. They follow what changes, so that their cost
//! does not grow with the cluster.

use std::collections::BTreeMap;

use metrics::gauge;

use crate::cluster::{Change, Cluster, Key, Transaction, fold};
use crate::node::{Node, NodeCondition};

/// Metric, and status or condition, that a row counts under.
type Place = (&'static str, &'static str);

const NODES: &str = "cluster_nodes";
const CONDITIONS: &str = "cluster_node_conditions";
const SERVICES: &str = "cluster_services";
const TASKS: &str = "cluster_tasks";
const DEPLOYMENTS: &str = "cluster_deployments";

/// Counts all there is. `before`: what was counted until now.
pub(super) fn recount(before: Option<&Cluster>, cluster: &Cluster) {
    let mut counts: BTreeMap<Place, u32> = BTreeMap::new();
    counts.extend(NodeCondition::ALL.map(|condition| ((CONDITIONS, condition.as_str()), 0)));
    counts.extend(before.into_iter().flat_map(places).map(|place| (place, 0)));
    for place in places(cluster) {
        *counts.entry(place).or_default() += 1;
    }
    for ((metric, status), count) in counts {
        gauge!(metric, label(metric) => status).set(count);
    }
}

/// Follows a group. `before`: the image in front of it.
pub(super) fn follow(before: &Cluster, group: &[Transaction]) {
    for ((metric, status), by) in moves(before, group) {
        gauge!(metric, label(metric) => status).increment(f64::from(by));
    }
}

fn label(metric: &str) -> &'static str {
    if metric == CONDITIONS { "condition" } else { "status" }
}

fn moves(before: &Cluster, group: &[Transaction]) -> BTreeMap<Place, i32> {
    let mut moves: BTreeMap<Place, i32> = BTreeMap::new();
    for (key, change) in fold(group) {
        for place in places_before(before, &key) {
            *moves.entry(place).or_default() -= 1;
        }
        for place in places_of(change) {
            *moves.entry(place).or_default() += 1;
        }
    }
    moves.retain(|_, by| *by != 0);
    moves
}

fn places(cluster: &Cluster) -> impl Iterator<Item = Place> {
    let nodes = cluster.nodes().flat_map(|row| of_node(row));
    let services = cluster.services().map(|row| (SERVICES, row.status.as_str()));
    let tasks = cluster.tasks().map(|row| (TASKS, row.status.as_str()));
    let deployments = cluster.deployments().map(|row| (DEPLOYMENTS, row.status.as_str()));
    nodes.chain(services).chain(tasks).chain(deployments)
}

fn of_node(row: &Node) -> Vec<Place> {
    let conditions = NodeCondition::ALL.into_iter().filter(|condition| condition.is_of(row));
    let conditions = conditions.map(|condition| (CONDITIONS, condition.as_str()));
    std::iter::once((NODES, row.status.as_str())).chain(conditions).collect()
}

fn places_of(change: &Change) -> Vec<Place> {
    match change {
        Change::Node(row) => of_node(row),
        Change::Service(row) => vec![(SERVICES, row.status.as_str())],
        Change::Task(row) => vec![(TASKS, row.status.as_str())],
        Change::Deployment(row) => vec![(DEPLOYMENTS, row.status.as_str())],
        Change::Namespace(_)
        | Change::Credential(_)
        | Change::EnrollmentToken(_)
        | Change::ServiceRevision(_)
        | Change::Receipt(_)
        | Change::User(_)
        | Change::ApiToken(_)
        | Change::Remove(_) => Vec::new(),
    }
}

fn places_before(before: &Cluster, key: &Key) -> Vec<Place> {
    let row = match key {
        Key::Node(id) => before.node(*id).cloned().map(Change::Node),
        Key::Service(id) => before.service(*id).cloned().map(Change::Service),
        Key::Task(id) => before.task(*id).cloned().map(Change::Task),
        Key::Deployment(id) => before.deployment(*id).cloned().map(Change::Deployment),
        Key::Namespace(_)
        | Key::Credential(_)
        | Key::EnrollmentToken(_)
        | Key::ServiceRevision(..)
        | Key::Receipt(_)
        | Key::User(_)
        | Key::ApiToken(_) => None,
    };
    row.as_ref().map(places_of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateService, DeleteService, RevokeNode};
    use crate::name::Namespace;
    use crate::node::Resources;
    use crate::task::{Health, TaskStatus};
    use crate::testing::{World, web_spec};

    fn counts(cluster: &Cluster) -> BTreeMap<Place, i32> {
        let mut counts = BTreeMap::new();
        places(cluster).for_each(|place| *counts.entry(place).or_default() += 1);
        counts
    }

    #[test]
    fn following_groups_of_any_size_comes_to_what_counting_anew_comes_to() {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(4000, 4 << 30));
        world.register_node("b", Resources::new(4000, 4 << 30));
        let create =
            |name| CreateService { namespace: Namespace::default_namespace(), spec: web_spec(name, 2) };
        let web = world.execute(create("web")).unwrap().id;
        world.execute(create("api")).unwrap();
        for slot in 0..2 {
            let task = world.place(web, slot, Some(node));
            world.report(task, TaskStatus::Starting);
            world.report(task, TaskStatus::Running(Health::Unchecked));
        }
        world.place(web, 2, None);
        world.execute(DeleteService { service: web }).unwrap();
        world.execute(RevokeNode { node }).unwrap();
        for size in 1..=world.history.len() {
            let mut cluster = Cluster::new(world.cluster.id());
            let mut followed: BTreeMap<Place, i32> = BTreeMap::new();
            for group in world.history.chunks(size) {
                for (place, by) in moves(&cluster, group) {
                    *followed.entry(place).or_default() += by;
                }
                for transaction in group {
                    cluster.apply(transaction);
                }
            }
            followed.retain(|_, count| *count != 0);
            assert_eq!(followed, counts(&world.cluster), "groups of {size}");
        }
    }
}
