//! From nothing to a container that runs, and what stands in the way.

use super::*;

#[test]
fn a_new_task_is_pulled_created_started_and_said_to_run() {
    let mut bench = Bench::new();
    for expected in [
        "pull web:1\nreport pulling (attempt 1)",
        "create attempt 1\nreport pulling (attempt 1)",
        "start c1\nreport created (attempt 1)",
    ] {
        let plan = bench.look();
        assert_eq!(plan.to_string().trim_end(), expected);
        bench.carry_out(&plan.step.unwrap());
    }
    bench.says("report running (attempt 1)");
    bench.says("report running (attempt 1)");
}

#[test]
fn a_container_that_fits_is_adopted_and_nothing_is_done_to_it() {
    Bench::new().container(3, running()).says("report running (attempt 3)");
    Bench::new().container(1, ContainerState::Created).says("start c1\nreport created (attempt 1)");
}

#[test]
fn an_adopted_task_with_a_check_is_not_said_to_be_unchecked() {
    let mut bench = Bench::new().container(1, running());
    bench.desired.template.health = Some(crate::service::HealthCheck {
        probe: crate::service::Probe::Tcp { port: 80.try_into().unwrap() },
        start_period: Duration::ZERO,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        healthy_threshold: 1,
        unhealthy_threshold: 1,
    });
    bench.desired.digest = bench.desired.template.digest();
    bench.containers[0].labels.digest = bench.desired.digest;
    bench.says("");
    let check = bench.desired.template.health.clone().unwrap();
    bench.memory.health.observe(&check, &ProbeOutcome::Success, Duration::ZERO, bench.now);
    bench.says("report healthy (attempt 1)");
}

#[test]
fn a_container_of_another_version_or_digest_is_replaced() {
    let mut bench = Bench::new().container(1, running());
    bench.containers[0].labels.version = Version(9);
    bench.says("stop c1\nreport assigned (attempt 1)");
    let plan = bench.settle();
    assert_eq!(plan.to_string().trim(), "report running (attempt 1)");
    assert_eq!(bench.containers.len(), 1);
    assert_eq!(bench.containers[0].labels.version, Version(1));
}

#[test]
fn the_agent_does_not_fall_behind_the_attempt_that_the_control_plane_knows() {
    let mut bench = Bench::new().container(4, running());
    bench.desired.attempt = Attempt(5);
    bench.says("stop c4\nreport assigned (attempt 5)");
    let plan = bench.settle();
    assert_eq!(plan.to_string().trim(), "report running (attempt 5)");
}

#[test]
fn of_two_running_containers_the_newer_stays_and_of_the_dead_one() {
    let mut bench = Bench::new()
        .container(1, exited(1))
        .container(2, exited(1))
        .container(3, running())
        .container(4, running())
        .container(5, ContainerState::Dead);
    bench.containers[4].labels.attempt = Attempt(2);
    bench.says("stop c3\nreport running (attempt 4)");
    bench.settle();
    let left: Vec<_> = bench.containers.iter().map(|c| c.id.0.as_str()).collect();
    assert_eq!(left, ["c3", "c4"]);
}

#[test]
fn what_the_node_forbids_fails_and_does_not_run() {
    let mut bench = Bench::new();
    bench.refusal = Some("privileged containers are not allowed on this node");
    let plan = bench.look();
    let Some(TaskStatus::Failed(failure)) = plan.report.map(|report| report.status) else { panic!() };
    assert_eq!((failure.kind, plan.step), (FailureKind::Forbidden, None));
    let mut bench = Bench::new().container(1, running());
    bench.refusal = Some("no");
    assert!(matches!(bench.look().step, Some(Step::Stop { .. })));
}

#[test]
fn a_step_that_failed_is_tried_again_later_and_at_once_when_the_runtime_is_back() {
    let mut bench = Bench::new();
    let step = bench.look().step.unwrap();
    let failure = StepFailure::Unreachable { message: "no socket".into() };
    bench.memory.after(&step, Err(&failure), bench.now, 0);
    let plan = bench.look();
    assert_eq!((plan.step, plan.look_again), (None, Some(bench.now + Duration::from_millis(500))));
    bench.memory.runtime_is_back();
    assert!(bench.look().step.is_some());
}

#[test]
fn a_container_that_cannot_be_made_is_retried_with_growing_waits_and_then_given_up() {
    let mut bench = Bench::new();
    let failure = StepFailure::Retry { message: "port is taken".into(), after: None };
    let started = bench.now;
    let (tries, failure) = bench.give_up(|step| matches!(step, Step::Create { .. }), &failure);
    assert_eq!((tries, failure.kind, failure.reason.as_str()), (8, FailureKind::Engine, "port is taken"));
    assert!(bench.now.since(started) > Duration::from_secs(30));
}

#[test]
fn a_permanent_failure_is_the_end_at_once_with_the_runtimes_words() {
    let mut bench = Bench::new();
    let step = bench.look().step.unwrap();
    let failure = StepFailure::Permanent { kind: FailureKind::Image, message: "not found".into() };
    bench.memory.after(&step, Err(&failure), bench.now, 0);
    let plan = bench.look();
    let Some(TaskStatus::Failed(failure)) = plan.report.map(|report| report.status) else { panic!() };
    assert_eq!((failure.kind, failure.reason.as_str(), plan.step), (FailureKind::Image, "not found", None));
}

/// M51: without the tries a port that its engine freed a moment later would cost the task.
#[test]
fn a_taken_port_is_tried_a_few_times_and_then_the_end() {
    let mut bench = Bench::new();
    let failure = StepFailure::Permanent { kind: FailureKind::Port, message: "it is taken".into() };
    let started = bench.now;
    let (tries, failure) = bench.give_up(|step| matches!(step, Step::Start { .. }), &failure);
    assert_eq!((tries, failure.kind, failure.reason.as_str()), (4, FailureKind::Port, "it is taken"));
    let took = bench.now.since(started);
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(20), "{took:?}");
}
