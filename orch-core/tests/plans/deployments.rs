//! How deployments end.

use orch_core::deployment::{DeploymentStatus, OnFailure};
use orch_core::record::{EventKind, Severity};
use orch_core::service::ServiceSpec;
use orch_core::task::{FailureKind, Health};
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan, check};

fn checked(replicas: u32) -> ServiceSpec {
    let mut spec = web_spec("web", replicas);
    spec.template.health = Some(check());
    spec
}

#[test]
fn a_failed_task_takes_the_service_back_and_keeps_what_served() {
    let mut site = Site::settled(&["a", "b", "c"], checked(2));
    let before = site.running();
    site.roll_out("web:2", 0, 1);
    site.look();
    site.fail(1, FailureKind::Exited);
    // `task` finds the newest of the slot.
    assert_plan!(
        site.look(),
        "
        rollout to version 2: failed: web.1 failed: exited
        rollout to version 1: rolling_back
        rollout to version 1: rolled_back
    "
    );
    assert_eq!(site.running(), before, "nothing that served was touched");
    assert_eq!(site.row().version.0, 1);
    assert_eq!(site.row().newest_version.0, 2);
    let errors =
        site.world.events.iter().filter(|event| {
            event.kind == EventKind::RolloutStatusChanged && event.severity == Severity::Error
        });
    assert_eq!(errors.count(), 1);
    site.settle();
    assert!(site.deployment().completed_at.is_some());
}

#[test]
fn a_dynamic_port_that_is_taken_is_bad_luck_until_it_happens_three_times_in_a_row() {
    let mut site = Site::settled(&["a", "b", "c"], checked(1));
    let first = site.running();
    site.roll_out("web:2", 0, 1);
    for _ in 0..2 {
        site.look();
        let port = site.task(1).ports[0].host_port;
        site.fail(1, FailureKind::Port);
        site.deployment_is(DeploymentStatus::Running);
        site.look();
        site.advance(20);
        site.look();
        assert_ne!(site.task(1).ports[0].host_port, port);
    }
    site.fail(1, FailureKind::Port);
    site.look();
    site.deployment_is(DeploymentStatus::RolledBack);
    assert_eq!(site.running(), first);
}

#[test]
fn a_rollback_keeps_the_replica_count_and_replaces_what_was_new() {
    let mut site = Site::settled(&["a", "b", "c"], checked(2));
    site.roll_out("web:2", 0, 1);
    site.look();
    site.agents();
    site.look(); // slot 1 is new, slot 2 on its way
    site.scale(3);
    site.look();
    site.fail(2, FailureKind::Engine);
    let plan = site.look();
    assert!(plan.to_string().contains("rollout to version 1: rolling_back"), "{plan}");
    site.settle();
    site.deployment_is(DeploymentStatus::RolledBack);
    assert_eq!(site.row().spec.replicas, 3);
    assert!(site.versions().iter().all(|version| version.0 == 1) && site.versions().len() == 3);
}

#[test]
fn a_crash_loop_fails_a_rollout_long_before_its_deadline() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.roll_out("web:2", 0, 1);
    site.look();
    site.attempt(1, 3);
    assert_plan!(
        site.look(),
        "
        held: web/1: waiting for its replacement to be healthy (web/1 on b: starting)
    "
    );
    site.attempt(1, 4);
    let plan = site.look();
    let first = plan.to_string().lines().next().unwrap().to_owned();
    assert_eq!(first, "rollout to version 2: failed: web.1 does not stay up (attempt 4): exit 1");
    site.settle();
    assert_eq!(site.running(), "1 v1 a");
}

#[test]
fn tasks_that_stay_unhealthy_fail_a_rollout() {
    let mut site = Site::settled(&["a", "b"], checked(1));
    site.roll_out("web:2", 0, 1);
    for _ in 0..3 {
        site.look();
        site.health(1, Health::Unhealthy);
        site.look();
        site.advance(2);
    }
    let failed = site.world.events.iter().find(|event| event.message.contains("is unhealthy"));
    assert!(failed.is_some(), "{}", site.describe());
    site.settle();
    assert_eq!(site.running(), "1 v1 a");
}

#[test]
fn the_deadline_always_fires_and_says_what_was_waited_for() {
    let mut site = Site::settled(&["a", "b"], checked(2));
    site.roll_out("web:2", 0, 1);
    let plan = site.look();
    let deadline = site.deployment().deadline;
    assert_eq!(plan.look_again, Some(deadline));
    site.world.now = deadline;
    let plan = site.look();
    let first = plan.to_string().lines().next().unwrap().to_owned();
    assert_eq!(
        first,
        "rollout to version 2: failed: not done within 600 s: 0 of 2 replicas serve version 2; web.1 is assigned"
    );
    site.settle();
    site.deployment_is(DeploymentStatus::RolledBack);
}

#[test]
fn a_rollback_that_fails_is_the_end_of_going_back() {
    let mut site = Site::settled(&["a", "b"], checked(1));
    site.roll_out("web:2", 1, 1);
    site.look();
    site.agents();
    site.look();
    site.agents();
    site.settle();
    site.roll_out("web:3", 0, 1);
    site.look();
    site.fail(1, FailureKind::Exited);
    site.look();
    site.deployment_is(DeploymentStatus::RolledBack);
    site.advance(1);
    // A rollback with work to do, whose tasks fail as well.
    site.world.execute(orch_core::command::RollBack { service: site.service, to_version: None }).unwrap();
    site.look();
    site.fail(1, FailureKind::Exited);
    let plan = site.look();
    assert!(plan.to_string().starts_with("rollout to version 1: failed: web.1 failed: exited"), "{plan}");
    assert!(!plan.to_string().contains("rolling_back"), "{plan}");
    site.settle();
    site.deployment_is(DeploymentStatus::Failed);
    assert_eq!(site.running().split(", ").count(), 1);
}

#[test]
fn a_paused_rollout_replaces_nothing_but_scale_failures_and_drains_go_on() {
    let mut spec = checked(2);
    spec.rollout.on_failure = OnFailure::Pause;
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 0, 1);
    site.look();
    site.agents();
    site.look(); // slot 1 is replaced, slot 2 is on its way
    site.fail(2, FailureKind::Exited);
    let plan = site.look();
    assert_plan!(plan, "rollout to version 2: paused: web.2 failed: exited");
    assert_eq!(plan.look_again, None, "its deadline rests");
    site.world.advance(std::time::Duration::from_secs(3600));
    site.settle();
    site.deployment_is(DeploymentStatus::Paused);
    assert_eq!(site.running(), "1 v2 c, 2 v1 b");

    site.scale(3);
    site.settle();
    assert_eq!(site.running(), "1 v2 c, 2 v1 b, 3 v1 a", "a new slot gets what is known to be good");
    site.drain("b");
    site.settle();
    assert_eq!(site.versions().iter().filter(|version| version.0 == 1).count(), 2, "{}", site.running());
    assert!(!site.running().contains(" b"), "{}", site.running());
    site.fail(1, FailureKind::Exited);
    site.settle();
    assert!(site.running().starts_with("1 v2"), "each slot keeps its version: {}", site.running());
    site.deployment_is(DeploymentStatus::Paused);
}

/// M28: a pause holds the rollout, never the reconciler. Removing `is_paused` from `version_for` or `is_up_to_date` fails it.
#[test]
fn a_person_pauses_a_rollout_and_lost_tasks_are_still_replaced() {
    use orch_core::command::{ContinueRollout, PauseRollout};
    let mut site = Site::settled(&["a", "b", "c"], checked(3));
    site.roll_out("web:2", 0, 1);
    site.look();
    site.agents();
    site.look(); // slot 1 is replaced, slot 2 is on its way
    let service = site.service;
    site.world.execute(PauseRollout { service, because: None }).unwrap();
    site.settle();
    let versions = |site: &Site| site.versions().iter().map(|version| version.0).sum::<u32>();
    assert_eq!(
        versions(&site),
        2 + 1 + 1,
        "one is replaced, the one on its way is taken back: {}",
        site.running()
    );
    let (lost, deadline) = (site.task(2), site.deployment().deadline);
    site.gone(
        site.world.cluster.node(lost.node.unwrap()).unwrap().name.clone().as_str(),
        orch_core::node::OfflineCause::Silent,
    );
    site.advance(3_600);
    site.settle();
    assert_eq!((site.available(), versions(&site)), (3, 2 + 1 + 1), "{}", site.running());
    assert_eq!(site.deployment().deadline, deadline, "paused, whatever the time");
    site.deployment_is(DeploymentStatus::Paused);

    site.world.execute(ContinueRollout { service, because: None }).unwrap();
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(versions(&site), 6);
}

#[test]
fn a_rollout_that_paused_by_itself_goes_on_and_pauses_again_only_for_a_new_failure() {
    use orch_core::command::ContinueRollout;
    let mut spec = checked(2);
    spec.rollout.on_failure = OnFailure::Pause;
    let mut site = Site::settled(&["a", "b", "c"], spec);
    site.roll_out("web:2", 0, 1);
    site.look();
    site.fail(1, FailureKind::Exited);
    site.look();
    site.deployment_is(DeploymentStatus::Paused);
    let service = site.service;
    site.advance(60);
    site.world.execute(ContinueRollout { service, because: None }).unwrap();
    site.look();
    site.deployment_is(DeploymentStatus::Running);
    site.fail(1, FailureKind::Exited);
    site.look();
    site.deployment_is(DeploymentStatus::Paused);
    site.advance(60);
    site.world.execute(ContinueRollout { service, because: None }).unwrap();
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
}

#[test]
fn an_aborted_rollout_goes_back_and_keeps_what_was_not_replaced_yet() {
    use orch_core::command::AbortRollout;
    let mut site = Site::settled(&["a", "b", "c"], checked(3));
    let before = site.tasks();
    site.roll_out("web:2", 0, 1);
    site.look();
    site.agents();
    site.look(); // slot 1 is replaced, slot 2 is on its way
    site.world.execute(AbortRollout { service: site.service, because: None }).unwrap();
    site.settle();
    site.deployment_is(DeploymentStatus::RolledBack);
    assert!(site.versions().iter().all(|version| version.0 == 1), "{}", site.running());
    let kept = before.iter().filter(|task| site.world.cluster.task(task.id).is_some_and(|t| t.is_active()));
    assert_eq!(kept.count(), 2, "{}", site.running());
}

#[test]
fn a_deployment_without_replicas_is_done_at_once() {
    let mut site = Site::new(&[], web_spec("web", 0));
    assert_plan!(site.look(), "rollout to version 1: succeeded");
}

#[test]
fn a_deployment_that_finds_no_room_waits_and_then_fails() {
    let mut site = Site::new(&[], web_spec("web", 1));
    site.look();
    site.deployment_is(DeploymentStatus::Running);
    assert_eq!(site.deployment().reason.clone().unwrap(), "waiting: web.1: no node fits: there are no nodes");
    site.world.now = site.deployment().deadline;
    let plan = site.look();
    assert_plan!(plan, "
        rollout to version 1: failed: not done within 600 s: 0 of 1 replicas serve version 1; web.1: no node fits: there are no nodes
        held: web/1: no node fits: there are no nodes
    ");
    site.world.register_node("a", crate::site::LARGE);
    site.settle();
    assert_eq!(site.running(), "1 v1 a", "it is tried on all the same");
}
