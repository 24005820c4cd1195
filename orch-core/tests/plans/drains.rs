//! Nodes that are being emptied.

use orch_core::deployment::DeploymentStatus;
use orch_core::service::{PortSpec, Protocol, Publish, RestartCondition};
use orch_core::task::{DesiredStatus, Health, TaskStatus};
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan};

#[test]
fn a_drained_node_keeps_its_task_until_the_replacement_is_healthy() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.drain("a");
    assert_plan!(
        site.look(),
        "
        + web/1 on b
        held: web/1: waiting for its replacement to be healthy (web/1 on b: assigned)
    "
    );
    site.agents();
    assert_plan!(site.look(), "held: web/1: waiting for its replacement to be healthy (web/1 on b: running)");
    site.advance(5);
    assert_plan!(site.look(), "- web/1 on a");
    site.settle();
    assert_eq!(site.running(), "1 v1 b");
}

#[test]
fn a_drain_does_not_wait_for_other_replicas_once_its_own_replacement_serves() {
    let mut site = Site::settled(&["a", "b", "c"], web_spec("web", 3));
    site.drain("a");
    site.look();
    site.agents();
    site.advance(5);
    site.gone("c", orch_core::node::OfflineCause::Shutdown); // fewer than three serve, but not for this
    let plan = site.look();
    assert!(plan.to_string().contains("- web/1 on a"), "{plan}");
}

/// Found by the simulation (seed 5681): the task that the drain took was counted on when an old task of a finished slot was
/// stopped, and so one fewer served than may be.
#[test]
fn a_finished_slots_old_task_serves_on_while_a_drain_takes_what_it_would_count_on() {
    let mut spec = web_spec("web", 3);
    spec.template.restart.condition = RestartCondition::Never;
    let mut site = Site::settled(&["a", "b", "c", "d", "e", "f", "g"], spec);
    let all_but_the_first = |site: &mut Site| {
        site.agents_that(|task| match task.desired {
            DesiredStatus::Removed => Some(TaskStatus::Removed),
            _ if task.slot.0 == 1 => None,
            _ => Some(TaskStatus::Running(Health::Unchecked)),
        });
        site.advance(5);
    };
    let node_of = |site: &Site, slot: u32| {
        let node = site.task(slot).node.unwrap();
        site.world.cluster.node(node).unwrap().name.to_string()
    };
    site.roll_out("web:2", 0, 3);
    for _ in 0..2 {
        site.look();
        all_but_the_first(&mut site);
    }
    let (drained, lost) = (node_of(&site, 2), node_of(&site, 3));
    site.drain(&drained);
    site.look();
    all_but_the_first(&mut site);
    site.exit(1, 0);
    site.gone(&lost, orch_core::node::OfflineCause::Shutdown);
    let plan = site.look();
    assert!(plan.to_string().contains(&format!("- web/2 on {drained}")), "{plan}");
    assert!(!plan.to_string().contains("- web/1"), "{plan}");
    assert_eq!(site.available(), 2, "{}", site.describe());
}

#[test]
fn a_drain_without_room_elsewhere_waits_and_says_why() {
    let mut site = Site::settled(&["a"], web_spec("web", 2));
    site.drain("a");
    assert_plan!(
        site.look(),
        "
        held: web/2: waiting for other replicas: 1 more than wanted already
        held: web/1: no node fits: 1 node: 1 draining
    "
    );
    site.world.register_node("b", crate::site::LARGE);
    site.settle();
    assert_eq!(site.running(), "1 v1 b, 2 v1 b");
}

#[test]
fn a_drain_that_waits_says_so_once_and_again_only_for_another_reason() {
    use orch_core::record::EventKind;
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    site.drain("a");
    site.look();
    let said = |site: &Site| {
        let events = site.world.events.iter().filter(|event| event.kind == EventKind::NodeDrainPending);
        events.map(|event| event.message.clone()).collect::<Vec<_>>()
    };
    let first = "the drain of node a waits: web.1: no node fits: 1 node: 1 draining";
    assert_eq!(said(&site), [first]);
    site.advance(3_600);
    site.look();
    assert_eq!(said(&site).len(), 1, "nothing new");
    let b = site.world.register_node("b", orch_core::node::Resources::new(10, crate::site::MIB));
    site.look();
    assert_eq!(said(&site).len(), 2);
    assert!(said(&site)[1].contains("lacks cpu"), "{:?}", said(&site));
    let node = orch_core::node::Node::clone(site.world.cluster.node(b).unwrap());
    site.put(orch_core::node::Node { allocatable: crate::site::LARGE, ..node });
    site.settle();
    assert_eq!(site.running(), "1 v1 b");
    assert!(site.world.cluster.nodes().all(|node| node.drain_waits.is_empty()), "nothing is waited for");
    assert_eq!(said(&site).len(), 2);
}

#[test]
fn at_its_deadline_a_drain_takes_what_is_left() {
    use orch_core::command::DrainNode;
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    let node = site.task(1).node.unwrap();
    let within = std::time::Duration::from_secs(60);
    site.world.execute(DrainNode { node, within: Some(within) }).unwrap();
    let plan = site.look();
    assert!(plan.look_again.is_some_and(|at| at <= site.world.now + within), "{plan}");
    assert_eq!(site.available(), 1, "not before");
    site.advance(60);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        held: web/1: waiting for the old task to stop
    "
    );
    site.settle();
    assert!(site.tasks().iter().all(|task| task.node != Some(node) || task.status.is_terminal()));
}

#[test]
fn a_drain_that_is_ended_keeps_what_serves_longest() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.drain("a");
    site.look();
    site.change_node("a", |node| node.status = node.status.uncordon().unwrap());
    assert_plan!(site.look(), "- web/1 on b");
    assert_eq!(site.running(), "1 v1 a");
}

#[test]
fn a_drain_during_a_rollout_moves_on_to_the_new_version() {
    let mut site = Site::settled(&["a", "b", "c"], web_spec("web", 2));
    site.roll_out("web:2", 0, 1);
    site.look();
    site.drain("b");
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.versions().iter().map(|version| version.0).collect::<Vec<_>>(), [2, 2]);
    assert!(!site.running().contains(" b"), "{}", site.running());
}

#[test]
fn a_replica_with_a_fixed_port_moves_to_a_node_where_the_port_is_free() {
    let mut spec = web_spec("web", 2);
    spec.template.ports = vec![PortSpec {
        name: None,
        protocol: Protocol::Udp,
        container_port: 53.try_into().unwrap(),
        publish: Publish::Fixed(53.try_into().unwrap()),
    }];
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.drain("a");
    assert_plan!(
        site.look(),
        "
        + web/1 on c
        held: web/1: waiting for its replacement to be healthy (web/1 on c: assigned)
    "
    );
    site.settle();
    site.drain("b");
    assert_plan!(
        site.look(),
        "
        held: web/2: no node fits: 3 nodes: 2 draining, 1 port 53/udp taken
    "
    );
}

#[test]
fn a_stateful_task_leaves_a_drained_node_only_if_it_fits_elsewhere() {
    let mut spec = web_spec("db", 1);
    spec.stateful = true;
    let mut site = Site::settled(&["a"], spec);
    site.drain("a");
    assert_plan!(site.look(), "held: db/1: no node fits: 1 node: 1 draining");
    site.world.register_node("b", crate::site::LARGE);
    assert_plan!(
        site.look(),
        "
        - db/1 on a
        held: db/1: waiting for the old task to stop
    "
    );
    site.settle();
    assert_eq!(site.running(), "1 v1 b");
}

#[test]
fn of_an_outdated_task_and_its_successor_on_a_draining_node_the_successor_stays() {
    let mut spec = web_spec("web", 1);
    spec.template.health = Some(crate::site::check());
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 1, 1);
    site.look(); // version 2 starts on b
    site.agents();
    site.drain("b");
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/1 on c
        rollout to version 2: succeeded
        held: web/1: waiting for its replacement to be healthy (web/1 on c: assigned)
    "
    );
    site.settle();
    assert_eq!(site.running(), "1 v2 c");
}
