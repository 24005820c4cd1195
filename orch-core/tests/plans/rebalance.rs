//! Tasks that would run better elsewhere (M16).

use orch_core::command::{CreateService, MoveTasks};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::rebalance::{Rebalance, plan};
use orch_core::schedule::FilterAndScore;
use orch_core::service::Strategy;
use orch_core::task::{Health, StopCause, TaskStatus};
use orch_core::testing::{World, web_spec};

use crate::site::{LARGE, Site};

fn rebalance(world: &World) -> Rebalance {
    plan(&world.cluster, &FilterAndScore, |_| true, world.now)
}

fn told(plan: &Rebalance) -> Vec<String> {
    plan.moves.iter().map(|one| format!("{} {} to {}: {}", one.name, one.from, one.to, one.gain)).collect()
}

fn let_move(site: &mut Site) -> usize {
    let tasks = rebalance(&site.world).moves.iter().map(|one| one.task).collect();
    site.world.execute(MoveTasks { tasks }).unwrap().len()
}

/// M16: a node that joins takes its share when asked for, each replica only once another serves in its place. Without
/// `Place::Leaving` for what moves, nothing would.
#[test]
fn a_node_that_joined_takes_its_share_without_a_gap_and_then_all_is_well() {
    let mut site = Site::settled(&["a"], web_spec("web", 4));
    assert_eq!(rebalance(&site.world), Rebalance::default(), "there is nowhere to go");
    site.world.register_node("b", LARGE);
    site.assert_quiet();
    let plan = rebalance(&site.world);
    let lines = told(&plan);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("a to b: 0 other replicas of its service there, 3 where it is"), "{lines:?}");
    assert_eq!(let_move(&mut site), 2);
    assert_eq!(rebalance(&site.world).under_way, 2);
    for _ in 0..40 {
        site.look();
        assert!(site.available() >= 4, "{}", site.describe());
        site.agents();
        site.advance(3);
    }
    site.settle();
    let on = |name: &str| site.running().matches(&format!(" {name}")).count();
    assert_eq!((on("a"), on("b")), (2, 2), "{}", site.running());
    assert_eq!(rebalance(&site.world), Rebalance::default(), "and no more than that");
    let moved = site.tasks().iter().filter(|task| task.stop_cause == Some(StopCause::Moved)).count();
    assert!(moved <= 2);
}

#[test]
fn what_is_on_its_way_is_not_told_twice_and_a_replica_that_finds_no_place_stays() {
    let mut site = Site::settled(&["a"], web_spec("web", 2));
    let b = site.world.register_node("b", LARGE);
    assert_eq!(let_move(&mut site), 1);
    assert_eq!((rebalance(&site.world).moves.len(), rebalance(&site.world).under_way), (0, 1));
    site.world.execute(orch_core::command::CordonNode { node: b }).unwrap();
    site.change_node("a", |node| node.cordoned = true);
    site.look();
    site.advance(601);
    site.settle();
    assert_eq!(site.running(), "1 v1 a, 2 v1 a");
    assert_eq!(rebalance(&site.world).under_way, 0);
}

#[test]
fn services_that_roll_out_keep_state_or_are_packed_are_left_alone_and_said_so() {
    let skipped = |site: &Site| rebalance(&site.world).skipped.first().map(|(_, why)| *why);
    let mut site = Site::settled(&["a"], web_spec("web", 4));
    site.world.register_node("b", LARGE);
    let tasks: Vec<_> = rebalance(&site.world).moves.iter().map(|one| one.task).collect();
    site.roll_out("web:2", 0, 1);
    assert_eq!(skipped(&site), Some("a rollout is under way or paused"));
    assert_eq!(site.world.execute(MoveTasks { tasks }).unwrap(), [], "nor by a plan of before");
    let mut packed = web_spec("web", 4);
    packed.strategy = Strategy::Binpack;
    let mut stateful = web_spec("web", 4);
    stateful.stateful = true;
    for (spec, why) in
        [(packed, "it is packed onto few nodes on purpose"), (stateful, "a stateful replica keeps its node")]
    {
        let mut site = Site::settled(&["a"], spec);
        site.world.register_node("b", LARGE);
        assert_eq!((skipped(&site), let_move(&mut site)), (Some(why), 0));
    }
    let many = vec![site.world.ids.next(); 101];
    assert!(site.world.execute(MoveTasks { tasks: many }).is_err());
}

/// Single replicas spread by how full nodes are, and only as far as the margin says: 20 of a hundred.
#[test]
fn single_replicas_leave_a_full_node_as_long_as_that_is_worth_it() {
    let mut world = World::new();
    let a = world.register_node("a", Resources::new(1_000, 1 << 40));
    for n in 0..8 {
        let mut spec = web_spec(&format!("web-{n}"), 1);
        spec.template.requests = Resources::new(100, 1 << 20);
        let namespace = Namespace::default_namespace();
        let service = world.execute(CreateService { namespace, spec }).unwrap().id;
        let task = world.place(service, 1, Some(a));
        world.report(task, TaskStatus::Running(Health::Unchecked));
        end_first_rollout(&mut world, service);
    }
    world.register_node("b", Resources::new(1_000, 1 << 40));
    let plan = rebalance(&world);
    let lines = told(&plan);
    // 80 and 10, 70 and 20, 60 and 30; then 50 and 40 are not worth a move.
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("that node would be 10 % full, this one is 80 %"), "{lines:?}");
}

/// The deployment of the first version is at its end.
fn end_first_rollout(world: &mut World, service: orch_core::id::ServiceId) {
    let first = world.cluster.active_deployment(service).cloned().expect("it began with the service");
    let mut transaction = orch_core::cluster::Transaction::default();
    transaction.put(orch_core::deployment::Deployment {
        status: orch_core::deployment::DeploymentStatus::Succeeded,
        completed_at: Some(world.now),
        ..orch_core::deployment::Deployment::clone(&first)
    });
    world.apply(transaction);
}
