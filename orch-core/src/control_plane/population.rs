//! Gauges: how many nodes, services, tasks and deployments there are, by status. They follow what changes, so that their cost
//! does not grow with the cluster.

use std::collections::BTreeMap;

use metrics::gauge;

use crate::cluster::{Change, Cluster, Key, Transaction, fold};

/// Metric and status that a row counts under.
type Place = (&'static str, &'static str);

const NODES: &str = "cluster_nodes";
const SERVICES: &str = "cluster_services";
const TASKS: &str = "cluster_tasks";
const DEPLOYMENTS: &str = "cluster_deployments";

/// Counts all there is. `before`: what was counted until now.
pub(super) fn recount(before: Option<&Cluster>, cluster: &Cluster) {
    let mut counts: BTreeMap<Place, u32> = BTreeMap::new();
    counts.extend(before.into_iter().flat_map(places).map(|place| (place, 0)));
    for place in places(cluster) {
        *counts.entry(place).or_default() += 1;
    }
    for ((metric, status), count) in counts {
        gauge!(metric, "status" => status).set(count);
    }
}

/// Follows a group. `before`: the image in front of it.
pub(super) fn follow(before: &Cluster, group: &[Transaction]) {
    for ((metric, status), by) in moves(before, group) {
        gauge!(metric, "status" => status).increment(f64::from(by));
    }
}

fn moves(before: &Cluster, group: &[Transaction]) -> BTreeMap<Place, i32> {
    let mut moves: BTreeMap<Place, i32> = BTreeMap::new();
    for (key, change) in fold(group) {
        if let Some(place) = place_before(before, &key) {
            *moves.entry(place).or_default() -= 1;
        }
        if let Some(place) = place_of(change) {
            *moves.entry(place).or_default() += 1;
        }
    }
    moves.retain(|_, by| *by != 0);
    moves
}

fn places(cluster: &Cluster) -> impl Iterator<Item = Place> {
    let nodes = cluster.nodes().map(|row| (NODES, row.status.as_str()));
    let services = cluster.services().map(|row| (SERVICES, row.status.as_str()));
    let tasks = cluster.tasks().map(|row| (TASKS, row.status.as_str()));
    let deployments = cluster.deployments().map(|row| (DEPLOYMENTS, row.status.as_str()));
    nodes.chain(services).chain(tasks).chain(deployments)
}

fn place_of(change: &Change) -> Option<Place> {
    Some(match change {
        Change::Node(row) => (NODES, row.status.as_str()),
        Change::Service(row) => (SERVICES, row.status.as_str()),
        Change::Task(row) => (TASKS, row.status.as_str()),
        Change::Deployment(row) => (DEPLOYMENTS, row.status.as_str()),
        Change::Namespace(_)
        | Change::Credential(_)
        | Change::ServiceRevision(_)
        | Change::Receipt(_)
        | Change::Remove(_) => return None,
    })
}

fn place_before(before: &Cluster, key: &Key) -> Option<Place> {
    Some(match key {
        Key::Node(id) => (NODES, before.node(*id)?.status.as_str()),
        Key::Service(id) => (SERVICES, before.service(*id)?.status.as_str()),
        Key::Task(id) => (TASKS, before.task(*id)?.status.as_str()),
        Key::Deployment(id) => (DEPLOYMENTS, before.deployment(*id)?.status.as_str()),
        Key::Namespace(_) | Key::Credential(_) | Key::ServiceRevision(..) | Key::Receipt(_) => return None,
    })
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
