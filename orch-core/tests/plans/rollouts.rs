//! One version in the place of another.

use orch_core::deployment::DeploymentStatus;
use orch_core::node::Resources;
use orch_core::record::EventKind;
use orch_core::service::{PortSpec, Protocol, Publish};
use orch_core::task::{Health, TaskStatus};
use orch_core::testing::web_spec;

use crate::site::{MIB, Site, assert_plan, check};

#[test]
fn one_more_is_started_before_one_is_stopped() {
    let mut site = Site::settled(&["a", "b", "c"], web_spec("web", 2));
    site.roll_out("web:2", 0, 1);
    assert_plan!(
        site.look(),
        "
        + web/1 on c
        rollout to version 2: running
        held: web/2: waiting for other replicas: 2 of 2 serve, 0 may be missing
        held: web/1: waiting for its replacement to be healthy (web/1 on c: assigned)
    "
    );
    site.agents();
    let plan = site.look();
    assert!(plan.steps.is_empty(), "running is not yet serving: {plan}");
    assert_eq!(plan.look_again, Some(site.world.now + std::time::Duration::from_secs(5)));
    site.advance(5);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/2 on a
        held: web/2: waiting for its replacement to be healthy (web/2 on a: assigned)
    "
    );
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.running(), "1 v2 c, 2 v2 a");
    assert_eq!(site.world.count(EventKind::RolloutTaskStopped), 2);
    assert!(site.deployment().started_at.is_some() && site.deployment().completed_at.is_some());
}

#[test]
fn a_gap_that_is_allowed_is_used() {
    let mut site = Site::settled(&["a", "b", "c"], web_spec("web", 3));
    site.roll_out("web:2", 1, 1);
    assert_plan!(
        site.look(),
        "
        + web/1 on a
        - web/2 on b
        + web/2 on b
        rollout to version 2: running
        held: web/3: waiting for other replicas: 2 of 3 serve, 1 may be missing
        held: web/1: waiting for its replacement to be healthy (web/1 on a: assigned)
    "
    );
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
}

#[test]
fn an_old_task_stays_while_too_few_others_serve() {
    let mut spec = web_spec("web", 2);
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 0, 1);
    site.look();
    site.agents(); // the first replacement serves, but meanwhile the other old one does not
    let other = site.task(2);
    site.set(&other, |task| task.status = TaskStatus::Starting);
    assert_plan!(
        site.look(),
        "
        - web/2 on b
        + web/2 on b
        held: web/1: waiting for other replicas: 2 of 2 serve, 0 may be missing
    "
    );
    assert_eq!(site.available(), 2);
}

#[test]
fn old_tasks_that_serve_no_one_make_way_at_once() {
    let mut spec = web_spec("web", 3);
    spec.template.health = Some(check());
    let mut site = Site::new(&["a", "b", "c"], spec);
    site.look();
    site.roll_out("web:2", 0, 1); // the first version never came up
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        - web/2 on b
        - web/3 on c
        + web/1 on a
        + web/2 on b
        + web/3 on c
        rollout to version 2: running
    "
    );
}

#[test]
fn a_task_of_the_same_digest_is_kept() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    let before = site.tasks();
    site.roll_out("web:2", 1, 1);
    site.look();
    // A person goes back before anything serves: what runs version 1 still is what version 3 asks for.
    let deployment = site.deployment();
    site.put(orch_core::deployment::Deployment {
        status: DeploymentStatus::Paused,
        ..orch_core::deployment::Deployment::clone(&deployment)
    });
    site.roll_out("web:1", 1, 1);
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    let kept = before.iter().filter(|task| site.world.cluster.task(task.id).is_some_and(|t| t.is_active()));
    assert_eq!(kept.count(), 1, "{}", site.describe());
}

#[test]
fn a_restart_replaces_each_task_once_at_the_pace_of_a_rollout() {
    let mut spec = web_spec("web", 3);
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b", "c"], spec);
    let before = site.tasks();
    site.advance(1);
    let command = orch_core::command::RestartService { service: site.service, because: None };
    site.world.execute(command).unwrap();
    let mut least = usize::MAX;
    for _ in 0..40 {
        site.look();
        least = least.min(site.available());
        assert!(site.tasks().iter().filter(|task| task.is_active()).count() <= 4, "{}", site.describe());
        site.agents();
    }
    assert_eq!(least, 3, "start-first, none is missed");
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.versions().len(), 3);
    assert!(site.versions().iter().all(|version| version.0 == 1), "{}", site.running());
    assert!(before.iter().all(|old| !site.world.cluster.task(old.id).is_some_and(|task| task.is_active())));
    site.assert_quiet();
}

#[test]
fn a_restart_whose_task_fails_stops_there_and_goes_back_nowhere() {
    let mut spec = web_spec("web", 2);
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b"], spec);
    site.roll_out("web:2", 0, 1);
    site.settle();
    site.advance(1);
    let command = orch_core::command::RestartService { service: site.service, because: None };
    site.world.execute(command).unwrap();
    site.look();
    site.fail(1, orch_core::task::FailureKind::Exited);
    site.look();
    site.deployment_is(DeploymentStatus::Failed);
    assert_eq!((site.row().version.0, site.available()), (2, 2));
    site.settle();
    assert_eq!(site.versions().iter().map(|version| version.0).collect::<Vec<_>>(), [2, 2]);
}

fn with_fixed_port(replicas: u32) -> orch_core::service::ServiceSpec {
    let mut spec = web_spec("web", replicas);
    spec.template.ports = vec![PortSpec {
        name: None,
        protocol: Protocol::Tcp,
        container_port: 80.try_into().unwrap(),
        publish: Publish::Fixed(8080.try_into().unwrap()),
    }];
    spec
}

#[test]
fn a_fixed_port_allows_one_replica_a_node_and_is_replaced_stop_first() {
    let mut site = Site::settled(&["a", "b"], with_fixed_port(2));
    site.roll_out("web:2", 0, 1);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        rollout to version 2: running
        held: web/2: waiting for other replicas: 1 of 2 serve, 1 may be missing
        held: web/1: waiting for the old task to stop
    "
    );
    assert_eq!(site.world.count(EventKind::UnableToPlace), 0, "the port is about to be free");
    site.settle();
    assert_eq!(site.running(), "1 v2 a, 2 v2 b");
    site.scale(3);
    assert_plan!(
        site.look(),
        "
        + web/3 pending: 2 nodes: 2 port 8080/tcp taken
        held: web/3: no node fits: 2 nodes: 2 port 8080/tcp taken
    "
    );
}

#[test]
fn where_surge_does_not_fit_the_old_one_makes_room_if_a_gap_is_allowed() {
    let mut spec = web_spec("web", 1);
    spec.template.requests = Resources::new(3_000, 64 * MIB);
    spec.template.limits = spec.template.requests;
    let mut site = Site::settled(&["a"], spec);
    site.roll_out("web:2", 0, 1);
    let unfit = "1 node: 1 lacks cpu (needs 3000m, has 1000m)";
    assert_plan!(site.look(), &format!("held: web/1: no node fits: {unfit}"));
    assert_eq!(site.deployment().reason.clone().unwrap(), format!("waiting: web.1: no node fits: {unfit}"));

    let paused = orch_core::deployment::Deployment {
        status: DeploymentStatus::Paused,
        ..orch_core::deployment::Deployment::clone(&site.deployment())
    };
    site.put(paused);
    site.roll_out("web:3", 1, 1);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        rollout to version 3: running
        held: web/1: waiting for the old task to stop
    "
    );
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.running(), "1 v3 a");
}

#[test]
fn a_task_is_not_stopped_for_one_that_would_not_fit_without_it_either() {
    let mut spec = web_spec("web", 1);
    spec.rollout.max_unavailable = 1;
    let mut site = Site::settled(&["a"], spec);
    site.change_node("a", |node| {
        node.cordoned = true;
    });
    site.roll_out("web:2", 1, 1);
    assert_plan!(site.look(), "held: web/1: no node fits: 1 node: 1 cordoned");
    site.change_node("a", |node| node.cordoned = false);
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.deployment().reason, None, "what it waited for is over");
}

#[test]
fn a_stateful_slot_has_one_owner_at_a_time() {
    let mut spec = web_spec("db", 2);
    spec.stateful = true;
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 0, 1);
    assert_plan!(
        site.look(),
        "
        - db/1 on a
        rollout to version 2: running
        held: db/2: waiting for other replicas: 1 of 2 serve, 1 may be missing
        held: db/1: waiting for the old task to stop
    "
    );
    assert_plan!(
        site.look(),
        "
        held: db/1: waiting for the old task to stop
        held: db/2: waiting for other replicas: 1 of 2 serve, 1 may be missing
    "
    );
    site.agents();
    assert_plan!(
        site.look(),
        "
        + db/1 on a
        held: db/2: waiting for other replicas: 1 of 2 serve, 1 may be missing
    "
    );
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
}

#[test]
fn what_is_unhealthy_during_a_rollout_is_replaced_by_the_new_version() {
    let mut spec = web_spec("web", 2);
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 0, 1);
    site.look();
    site.health(2, Health::Unhealthy);
    assert_plan!(
        site.look(),
        "
        - web/2 on b
        + web/2 on b
        held: web/1: waiting for its replacement to be healthy (web/1 on c: assigned)
    "
    );
}

#[test]
fn of_two_old_tasks_the_one_goes_that_makes_room() {
    let mut spec = with_fixed_port(2);
    spec.template.health = None;
    let mut site = Site::settled(&["a", "b"], spec);
    site.drain("a");
    site.roll_out("web:2", 2, 0);
    // Only what runs on b makes room on b; what runs on a has nowhere to go.
    assert_plan!(site.look(), "
        - web/2 on b
        rollout to version 2: running: waiting: web.1: no node fits: 2 nodes: 1 draining, 1 port 8080/tcp taken
        held: web/2: waiting for the old task to stop
        held: web/1: no node fits: 2 nodes: 1 draining, 1 port 8080/tcp taken
    ");
}
