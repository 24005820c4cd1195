//! Tasks that go: out of discovery, signalled, removed.

use super::*;

#[test]
fn a_task_that_is_wanted_stopped_is_stopped_and_keeps_its_dead_container() {
    let mut bench = Bench::new();
    bench.settle();
    bench.desired.desired = DesiredStatus::Stopped;
    bench.says(
        "stop c1\nreport stopping (attempt 1): the image's stop signal is sent; killed if it runs 10 s later",
    );
    let plan = bench.settle();
    let Some(TaskStatus::Stopped(Some(exit))) = plan.report.map(|report| report.status) else { panic!() };
    assert!(exit.by_us);
    assert_eq!(bench.containers.len(), 1);
    bench.says("report stopped (attempt 1)");
}

#[test]
fn a_task_that_goes_is_served_for_its_delay_then_signalled_and_its_exit_is_told() {
    let mut bench = Bench::new();
    bench.desired.template.stop = StopPolicy {
        signal: Some("SIGINT".to_owned()),
        grace: Duration::from_secs(30),
        delay: Duration::from_secs(2),
    };
    bench.settle();
    bench.desired.desired = DesiredStatus::Removed;
    let leaving = "report stopping (attempt 1): out of discovery; SIGINT in 2.0 s";
    bench.says(leaving);
    bench.pass(Duration::from_millis(1_999));
    bench.says(leaving);
    let due = bench.look().look_again.unwrap();
    assert_eq!(due, bench.now + Duration::from_millis(1));
    bench.now = due;
    bench.says("stop c1\nreport stopping (attempt 1): SIGINT is sent; killed if it runs 30 s later");
    let plan = bench.settle();
    assert!(plan.finished);
    let report = plan.report.unwrap();
    let exit = report.last_exit.unwrap();
    assert_eq!((report.status, exit.code, exit.by_us), (TaskStatus::Removed, Some(143), true));
}

#[test]
fn a_task_that_is_wanted_again_no_more_runs_at_once_where_two_would_be_too_many() {
    let mut bench = Bench::new().container(1, running()).container(2, running());
    bench.desired.template.stop.delay = Duration::from_secs(60);
    bench.says("stop c1\nreport running (attempt 2)");
}

#[test]
fn a_task_that_never_ran_is_stopped_at_once() {
    Bench::new().desired(DesiredStatus::Stopped).says("report stopped (attempt 1)");
    Bench::new()
        .desired(DesiredStatus::Stopped)
        .container(1, ContainerState::Created)
        .says("remove c1\nreport stopped (attempt 1)");
}

#[test]
fn what_is_not_in_the_desired_set_is_stopped_removed_and_said_to_be_removed() {
    let mut bench = Bench::new().container(1, exited(1)).container(2, running());
    bench.absent = true;
    bench.says("stop c2");
    let plan = bench.settle();
    assert_eq!(plan.to_string(), "report removed (attempt 2)\nfinished\n");
    assert!(bench.containers.is_empty());
}

#[test]
fn what_an_agent_that_knows_nothing_finds_unwanted_is_stopped_as_it_was_made_to_be() {
    let mut bench = Bench::new();
    let stop = StopPolicy {
        signal: Some("SIGQUIT".to_owned()),
        grace: Duration::from_secs(90),
        delay: Duration::from_secs(2),
    };
    bench.desired.template.stop = stop.clone();
    bench = bench.container(1, running());
    bench.absent = true;
    let due = bench.look().look_again.unwrap();
    assert_eq!(due, bench.now + stop.delay);
    bench.now = due;
    let Some(Step::Stop { policy, .. }) = bench.look().step else { panic!() };
    assert_eq!(policy, StopPolicy { delay: Duration::ZERO, ..stop });
}

#[test]
fn a_revoked_nodes_containers_are_stopped_and_nothing_is_said_or_removed() {
    let bench = Bench::new().container(1, exited(1)).container(2, running());
    let view = TaskView {
        task: bench.desired.id,
        intent: Intent::Halt,
        refusal: None,
        containers: &bench.containers,
        memory: &bench.memory,
        keep_dead: 1,
    };
    assert_eq!(converge(&view, bench.now, 0).to_string(), "stop c2\n");
    let view = TaskView { containers: &bench.containers[..1], ..view };
    assert_eq!(converge(&view, bench.now, 0).to_string(), "");
}

#[test]
fn a_stop_without_effect_is_repeated_ever_later_and_another_container_is_stopped_at_once() {
    let mut bench = Bench::new().desired(DesiredStatus::Stopped).container(1, running());
    bench.now = bench.look().look_again.unwrap_or(bench.now);
    let mut waits = Vec::new();
    for _ in 0..9 {
        let step = bench.look().step.expect("its time has come");
        assert!(matches!(step, Step::Stop { .. }));
        bench.memory.after(&step, Ok(&StepDone::Stopped), bench.now, 0);
        let plan = bench.look();
        assert_eq!((plan.step, plan.report.map(|r| r.status)), (None, Some(TaskStatus::Stopping)));
        let again = plan.look_again.expect("it is tried again");
        waits.push(again.since(bench.now));
        bench.now = again;
    }
    assert!(!waits[0].is_zero() && waits.is_sorted() && waits[8] >= Duration::from_secs(30), "{waits:?}");

    let step = bench.look().step.expect("its time has come");
    bench.memory.after(&step, Ok(&StepDone::Stopped), bench.now, 0);
    bench.set(&ContainerId("c1".to_owned()), exited(143));
    let mut bench = bench.container(2, running());
    // Nothing but its own time to leave discovery.
    let due = bench.look().look_again.unwrap_or(bench.now);
    assert!(due <= bench.now + bench.desired.template.stop.delay);
    bench.now = due;
    assert_eq!(bench.look().step.map(|step| step.to_string()), Some("stop c2".to_owned()));
}

#[test]
fn stopping_does_not_wait_for_a_pull_that_keeps_failing() {
    let mut bench = Bench::new();
    let step = bench.look().step.unwrap();
    let wait = Duration::from_secs(300);
    let failure = StepFailure::Retry { message: "429".into(), after: Some(wait) };
    bench.memory.after(&step, Err(&failure), bench.now, 0);
    assert_eq!(bench.look().look_again, Some(bench.now + wait));
    bench.desired.desired = DesiredStatus::Stopped;
    bench.says("report stopped (attempt 1)");
}
