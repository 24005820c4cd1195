use std::time::Duration;

use super::*;
use crate::command::apply_service::ApplyTarget;
use crate::name::Namespace;
use crate::node::Resources;
use crate::schedule::FilterAndScore;
use crate::testing::{World, web_spec};

fn apply(spec: ServiceSpec) -> ApplyService {
    ApplyService {
        namespace: Namespace::default_namespace(),
        target: ApplyTarget::Name,
        spec,
        expected: None,
        dry_run: false,
    }
}

fn world(nodes: &[(&str, Resources)]) -> World {
    let mut world = World::new();
    for (name, room) in nodes {
        world.register_node(name, *room);
    }
    world
}

const LARGE: Resources = Resources::new(4_000, 4 << 30);

fn try_it(world: &mut World, spec: ServiceSpec) -> Result<Rehearsal, Rejection> {
    let before = world.cluster.revision();
    let tried = world.with_ctx(|cluster, ctx| rehearse(cluster, apply(spec), &FilterAndScore, ctx));
    assert_eq!(world.cluster.revision(), before, "nothing is written");
    tried
}

fn told(rehearsal: &Rehearsal) -> Vec<String> {
    let plan = |moment: &Moment| Plan {
        service: Some(rehearsal.applied.service.spec.name.clone()),
        steps: vec![moment.step.clone()],
        ..Plan::default()
    };
    let line = |moment: &Moment| {
        format!("{} {}s {}", moment.round, moment.after.as_secs(), plan(moment).to_string().trim())
    };
    rehearsal.steps.iter().map(line).collect()
}

/// Carries out what was tried, and lets the cluster come to rest.
fn settle(world: &mut World, spec: ServiceSpec) {
    let service = world.execute(apply(spec)).unwrap().service.id;
    for _ in 0..100 {
        let plan = world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx));
        let quiet = plan.transaction.is_empty();
        world.apply(plan.transaction);
        let now = world.now;
        let moved = crew::obey(&mut world.cluster, service, now);
        if quiet && !moved {
            return;
        }
        world.advance(Duration::from_secs(6));
    }
    panic!("it does not come to rest");
}

#[test]
fn a_new_service_is_told_where_its_replicas_go() {
    let mut world = world(&[("a", LARGE), ("b", LARGE)]);
    let tried = try_it(&mut world, web_spec("web", 2)).unwrap();
    let steps = told(&tried);
    assert!(steps[0].starts_with("1 0s + web/1 on "), "{steps:?}");
    assert!(steps[1].starts_with("1 0s + web/2 on ") && steps[0][13..] != steps[1][13..], "{steps:?}");
    assert!(steps.last().unwrap().ends_with("rollout to version 1: succeeded"), "{steps:?}");
    assert_eq!((tried.changed, tried.applied.created, tried.ending), (true, true, Ending::Done));
    assert_eq!(tried.at_least, Duration::from_secs(5), "without a health check it must run for so long");
    assert_eq!(world.cluster.services().count(), 0);
}

#[test]
fn a_rollout_is_told_in_the_order_in_which_it_then_happens() {
    let mut world = world(&[("a", LARGE), ("b", LARGE), ("c", LARGE)]);
    settle(&mut world, web_spec("web", 2));
    let mut spec = web_spec("web", 2);
    spec.template.image = "web:2".parse().unwrap();
    let tried = try_it(&mut world, spec.clone()).unwrap();
    assert_eq!(tried.handover, Handover::StartFirst);
    let starts: Vec<_> =
        tried.steps.iter().filter(|moment| matches!(moment.step, Step::Start { .. })).collect();
    let stops: Vec<_> =
        tried.steps.iter().filter(|moment| matches!(moment.step, Step::Stop { .. })).collect();
    assert_eq!((starts.len(), stops.len()), (2, 2), "{:?}", told(&tried));
    assert!(starts[0].round < stops[0].round, "start-first");
    assert_eq!(tried.at_least, Duration::from_secs(10), "two, one after the other");

    let service = world.execute(apply(spec)).unwrap().service.id;
    let plan = world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx));
    let first: Vec<_> =
        tried.steps.iter().filter(|moment| moment.round == 1).map(|moment| &moment.step).collect();
    assert_eq!(first, plan.steps.iter().collect::<Vec<_>>(), "the same code on the same state");
}

#[test]
fn what_would_not_fit_is_told_with_what_each_node_lacks() {
    let mut world = world(&[("a", LARGE), ("b", Resources::new(500, 4 << 30))]);
    let mut spec = web_spec("web", 4);
    spec.template.requests = Resources::new(1_500, 64 << 20);
    spec.template.limits = spec.template.requests;
    let tried = try_it(&mut world, spec).unwrap();
    assert_eq!(tried.ending, Ending::Waits);
    let slots: Vec<_> = tried.unplaced.iter().map(|unplaced| unplaced.slot.0).collect();
    assert_eq!(slots, [3, 4]);
    let nodes: Vec<_> = tried.unplaced[0].nodes.iter().map(|(node, why)| format!("{node}: {why}")).collect();
    assert_eq!(nodes, ["a: lacks cpu (needs 1500m, has 1000m)", "b: lacks cpu (needs 1500m, has 500m)"]);
    assert!(tried.unplaced[1].nodes.is_empty(), "told once");
}

#[test]
fn no_difference_is_no_step_and_a_rejection_is_the_commands() {
    let mut world = world(&[("a", LARGE)]);
    settle(&mut world, web_spec("web", 1));
    let tried = try_it(&mut world, web_spec("web", 1)).unwrap();
    assert_eq!((tried.changed, tried.steps.len(), tried.ending), (false, 0, Ending::Done));
    let mut denied = web_spec("web", 1);
    denied.template.security.privileged = true;
    denied.template.security.host_network = true;
    match try_it(&mut world, denied) {
        Err(Rejection::Admission { violations, .. }) => assert_eq!(violations.len(), 2, "all at once"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deadline_that_no_rollout_could_keep_is_found_before_it_begins() {
    let mut world = world(&[("a", LARGE)]);
    settle(&mut world, web_spec("web", 4));
    let mut spec = web_spec("web", 4);
    spec.template.image = "web:2".parse().unwrap();
    spec.rollout.deadline = Duration::from_secs(12);
    let tried = try_it(&mut world, spec).unwrap();
    assert!(
        matches!(&tried.ending, Ending::Fails(why) if why.contains("not done within 12 s")),
        "{:?}",
        tried.ending
    );
}

#[test]
fn a_large_service_is_tried_in_bounded_work() {
    let mut world = world(&[("a", Resources::new(1_000_000, 1 << 50))]);
    let mut spec = web_spec("web", 900);
    spec.template.ports.clear();
    settle(&mut world, spec.clone());
    spec.template.image = "web:2".parse().unwrap();
    let tried = try_it(&mut world, spec).unwrap();
    assert_eq!(tried.ending, Ending::Cut);
    assert!(!tried.steps.is_empty() && tried.steps.len() < 1_100);
}

#[test]
fn what_the_policy_refuses_a_plan_refuses_as_an_apply_does_and_all_of_it() {
    let mut world = world(&[("a", LARGE)]);
    world.policy.require_healthcheck = true;
    world.policy.max_replicas_per_service = 1;
    let spec = web_spec("web", 2);
    let planned = try_it(&mut world, spec.clone()).unwrap_err();
    assert_eq!(world.execute(apply(spec)).unwrap_err(), planned);
    let Rejection::Admission { operation: "create", violations, .. } = planned else { panic!("{planned:?}") };
    let rules: Vec<_> = violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, ["replicas.maximum", "healthcheck.required"]);
}
