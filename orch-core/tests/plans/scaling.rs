//! More and fewer replicas.

use orch_core::record::EventKind;
use orch_core::task::Health;
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan};

#[test]
fn a_new_service_is_spread_over_the_nodes() {
    let mut site = Site::new(&["a", "b", "c"], web_spec("web", 4));
    assert_plan!(
        site.look(),
        "
        + web/1 on a
        + web/2 on b
        + web/3 on c
        + web/4 on a
        rollout to version 1: running
    "
    );
    assert_eq!(site.world.count(EventKind::RolloutTaskCreated), 4);
    assert_eq!(site.world.count(EventKind::TaskAssigned), 4);
    site.settle();
    site.deployment_is(orch_core::deployment::DeploymentStatus::Succeeded);
    site.scale(5);
    site.look();
    assert_eq!(site.world.count(EventKind::ReconcilerTaskCreated), 1, "no rollout made the fifth");
}

#[test]
fn scaling_down_stops_the_highest_slots() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 4));
    site.scale(2);
    assert_plan!(
        site.look(),
        "
        - web/4 on b
        - web/3 on a
    "
    );
    site.settle();
    assert_eq!(site.running(), "1 v1 a, 2 v1 b");
}

#[test]
fn a_task_that_serves_takes_the_place_of_one_that_does_not() {
    let mut spec = web_spec("web", 3);
    spec.template.health = Some(crate::site::check());
    let mut site = Site::settled(&["a", "b"], spec);
    let first = site.task(1);
    site.set(&first, |task| task.status = orch_core::task::TaskStatus::Starting);
    site.scale(1);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        = web/2 becomes web/1
        - web/3 on a
    "
    );
    assert_eq!(site.running(), "1 v1 b");
}

#[test]
fn a_stateful_slot_is_not_exchanged_for_another() {
    let mut spec = web_spec("db", 2);
    spec.stateful = true;
    spec.template.health = Some(crate::site::check());
    let mut site = Site::settled(&["a", "b"], spec);
    site.health(1, Health::Unhealthy);
    site.world
        .execute(orch_core::command::ScaleService { service: site.service, replicas: 1, expected: None })
        .unwrap();
    let plan = site.look();
    assert!(plan.to_string().contains("- db/2 on b"), "{plan}");
    assert!(!plan.to_string().contains("becomes"), "{plan}");
}

#[test]
fn no_replicas_is_a_number_too() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    site.scale(0);
    assert_plan!(site.look(), "- web/1 on a");
    site.settle();
    assert_eq!(site.running(), "");
}

#[test]
fn a_large_service_is_made_in_bounded_plans() {
    let nodes: Vec<String> = (0..40).map(|i| format!("n{i:02}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut site = Site::new(&nodes, web_spec("web", 1_200));
    let mut made = Vec::new();
    loop {
        let before = site.tasks().len();
        let plan = site.look_once();
        let new = site.tasks().len() - before;
        if new == 0 {
            break;
        }
        made.push(new);
        assert_eq!(plan.look_again == Some(site.world.now), new == 500, "cut plans are gone on with at once");
    }
    assert_eq!(made, [500, 500, 200]);
}
