//! Tasks that end by themselves, or do not serve.

use std::time::Duration;

use orch_core::deployment::DeploymentStatus;
use orch_core::node::EngineTrouble;
use orch_core::reconcile::HeldReason;
use orch_core::service::RestartCondition;
use orch_core::task::{Exit, Failure, FailureKind, Health, TaskStatus};
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan, check};

#[test]
fn a_task_that_its_agent_gave_up_is_replaced_with_growing_waits() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    let mut waits = Vec::new();
    for failures in 1..=9 {
        site.fail(1, FailureKind::Exited);
        let plan = site.look();
        let wait = match plan.held.as_slice() {
            [] => Duration::ZERO,
            [held] => {
                let HeldReason::BackOff { until, failures: counted } = held.reason else { panic!("{plan}") };
                assert_eq!(counted, failures);
                assert_eq!(plan.look_again, Some(until));
                let wait = until.since(site.world.now);
                site.world.advance(wait);
                site.look();
                wait
            }
            _ => panic!("{plan}"),
        };
        waits.push(wait.as_secs_f64());
        assert_eq!(site.running(), "1 v1 a");
    }
    assert_eq!(waits[0], 0.0, "the first time at once");
    for (i, full) in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0].into_iter().enumerate() {
        assert!((full / 2.0..=full).contains(&waits[i + 1]), "{waits:?}");
    }
}

#[test]
fn a_task_that_ran_well_begins_the_count_anew() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    for _ in 0..5 {
        site.agents();
        site.advance(60);
        site.fail(1, FailureKind::Exited);
        let plan = site.look();
        assert!(plan.to_string().starts_with("+ web/1 on a\n"), "{plan}");
        assert_eq!(site.task(1).failures_before, 1);
    }
}

#[test]
fn a_task_that_failed_by_its_node_is_placed_elsewhere() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.fail(1, FailureKind::Port);
    assert_plan!(site.look(), "+ web/1 on b");
}

#[test]
fn what_should_run_once_stays_ended() {
    for (condition, code, finished) in [
        (RestartCondition::Never, 0, true),
        (RestartCondition::Never, 1, true),
        (RestartCondition::OnFailure, 0, true),
        (RestartCondition::OnFailure, 1, false),
        (RestartCondition::Always, 0, false),
    ] {
        let mut spec = web_spec("web", 1);
        spec.template.restart.condition = condition;
        let mut site = Site::settled(&["a"], spec);
        site.exit(1, code);
        let plan = site.look();
        assert_eq!(plan.steps.is_empty(), finished, "{condition:?} {code}: {plan}");
        site.roll_out("web:2", 0, 1);
        site.settle();
        assert_eq!(site.running(), "1 v2 a", "another version runs again");
    }
}

#[test]
fn a_rollout_of_tasks_that_end_well_succeeds() {
    let mut spec = web_spec("job", 2);
    spec.template.restart.condition = RestartCondition::OnFailure;
    let mut site = Site::new(&["a"], spec);
    site.look();
    site.exit(1, 0);
    site.exit(2, 0);
    assert_plan!(site.look(), "rollout to version 1: succeeded");
    site.settle();
    assert_eq!(site.running(), "");
}

#[test]
fn an_unhealthy_task_is_replaced_in_one_step_and_later_ones_after_a_wait() {
    let mut spec = web_spec("web", 1);
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b"], spec);
    site.health(1, Health::Unhealthy);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/1 on b
    "
    );
    site.agents();
    site.health(1, Health::Unhealthy);
    let plan = site.look();
    assert!(matches!(plan.held[0].reason, HeldReason::BackOff { failures: 2, .. }), "{plan}");
    site.health(1, Health::Healthy);
    assert_plan!(site.look(), "");
    site.health(1, Health::Unhealthy);
    site.advance(1);
    assert_plan!(
        site.look(),
        "
        - web/1 on b
        + web/1 on a
    "
    );
    assert_eq!(site.task(1).failures_before, 2);
}

#[test]
fn an_unhealthy_task_that_is_never_restarted_stays() {
    let mut spec = web_spec("web", 1);
    spec.template.health = Some(check());
    spec.template.restart.condition = RestartCondition::Never;
    let mut site = Site::settled(&["a", "b"], spec);
    site.health(1, Health::Unhealthy);
    assert_plan!(site.look(), "");
}

#[test]
fn an_unhealthy_stateful_task_is_stopped_before_its_successor_is_made() {
    let mut spec = web_spec("db", 1);
    spec.stateful = true;
    spec.template.health = Some(check());
    let mut site = Site::settled(&["a", "b"], spec);
    site.health(1, Health::Unhealthy);
    assert_plan!(
        site.look(),
        "
        - db/1 on a
        held: db/1: waiting for the old task to stop
    "
    );
    site.agents();
    let plan = site.look();
    assert_eq!(plan.steps.len(), 1, "{plan}");
    assert_eq!(site.task(1).failures_before, 1);
}

#[test]
fn a_first_deployment_that_failed_is_tried_on_with_back_off() {
    let mut site = Site::new(&["a"], web_spec("web", 1));
    site.look();
    site.fail(1, FailureKind::Image);
    assert_plan!(
        site.look(),
        "
        rollout to version 1: failed: web.1 failed: image
        + web/1 on a
    "
    );
    site.settle();
    site.deployment_is(DeploymentStatus::Failed);
    assert_eq!(site.running(), "1 v1 a");
}

#[test]
fn replacements_that_keep_failing_beside_an_old_task_wait_longer_and_longer() {
    // A rollback that failed leaves a task of the failed version: its replacement is tried on, but not without end at once.
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.roll_out("web:2", 0, 1);
    site.look();
    let failed = orch_core::deployment::Deployment {
        status: DeploymentStatus::Failed,
        completed_at: Some(site.world.now),
        ..orch_core::deployment::Deployment::clone(&site.deployment())
    };
    site.put(failed);
    let mut waits = Vec::new();
    for _ in 0..4 {
        site.fail(1, FailureKind::Exited);
        let plan = site.look();
        if let Some(until) = plan.look_again {
            waits.push(until.since(site.world.now));
            site.world.now = until;
            site.look();
        }
        assert_eq!(site.versions().len(), 2, "{}", site.describe());
    }
    assert!(waits.len() == 3 && waits.is_sorted(), "{waits:?}");
}

#[test]
fn what_ran_after_a_slot_was_finished_is_replaced_and_not_merely_stopped() {
    let mut spec = web_spec("web", 3);
    spec.template.restart.condition = RestartCondition::Never;
    let mut site = Site::settled(&["a", "b"], spec);
    site.exit(3, 1);
    site.settle();
    site.roll_out("web:2", 0, 1);
    site.settle();
    site.deployment_is(DeploymentStatus::Succeeded);
    assert_eq!(site.available(), 3, "{}", site.describe());
    // A rollback that a person asks for lets one be missing.
    site.world.execute(orch_core::command::RollBack { service: site.service, to_version: None }).unwrap();
    site.look();
    assert_eq!(site.available(), 2, "{}", site.describe());
    site.settle();
    site.deployment_is(DeploymentStatus::RolledBack);
    assert_eq!(site.available(), 3, "{}", site.describe());
}

/// M22: what the machine had no memory for is made anew on another one; what reached its own limit is not moved for it.
#[test]
fn a_task_that_the_node_had_no_memory_for_is_placed_elsewhere() {
    for (oom_of_node, place) in [(true, "1 v1 b"), (false, "1 v1 a")] {
        let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
        let task = site.task(1);
        let exit = Exit { code: Some(137), oom_killed: true, oom_of_node, ..Exit::default() };
        let failure = Failure { kind: FailureKind::Exited, reason: exit.describe(), exit: Some(exit) };
        site.set(&task, |task| task.status = TaskStatus::Failed(failure));
        site.settle();
        assert_eq!(site.running(), place);
    }
}

/// M43: while a node's engine is away its tasks are neither failed nor replaced, and nothing new is placed there.
#[test]
fn an_engine_out_of_reach_costs_its_node_no_task_and_brings_it_none() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    let since = site.world.now;
    site.change_node("a", |node| {
        node.engine_trouble = Some(EngineTrouble { since, reason: "no such socket".to_owned() });
    });
    site.advance(24 * 3600);
    site.assert_quiet();
    site.scale(4);
    assert_plan!(site.look(), "+ web/3 on b\n+ web/4 on b");
}
