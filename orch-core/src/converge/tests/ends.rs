//! Containers that end: what is counted, what follows, and what is kept of them.

use super::*;

#[test]
fn the_first_restart_is_immediate_and_later_ones_wait_and_say_so() {
    let mut bench = Bench::new();
    bench.settle();
    bench.set(&ContainerId("c1".into()), exited(1));
    bench.says("create attempt 2\nreport assigned (attempt 2): restarting (attempt 2, exit 1)");
    bench.settle();
    bench.set(&ContainerId("c2".into()), exited(1));
    let plan = bench.look();
    assert!(plan.to_string().contains("restarting in 0.5 s (attempt 3, exit 1)"), "{plan}");
    assert_eq!(plan.look_again, Some(bench.now + Duration::from_millis(500)));
    let plan = bench.settle();
    assert_eq!(bench.containers.len(), 1, "one dead container is kept, the older is removed: {plan}");
    bench.pass(Duration::from_millis(499));
    assert_eq!(bench.look().step, None);
    bench.pass(Duration::from_millis(1));
    assert!(matches!(bench.look().step, Some(Step::Create { attempt: Attempt(3), .. })));
    let plan = bench.settle();
    assert_eq!(plan.report.as_ref().unwrap().status.as_str(), "running");
    assert_eq!(plan.report.unwrap().last_exit.unwrap().code, Some(1));
}

#[test]
fn running_long_enough_forgives_what_was_before() {
    let mut bench = Bench::new();
    bench.settle();
    for attempt in 1..=5 {
        bench.pass(Duration::from_secs(10));
        bench.set(&ContainerId(format!("c{attempt}")), exited(1));
        assert_eq!(bench.look().look_again, None, "attempt {attempt} was not restarted at once");
        bench.settle();
    }
    assert_eq!(bench.memory.failures, 1);
}

#[test]
fn the_policy_decides_what_an_exit_leads_to() {
    use RestartCondition::{Always, Never, OnFailure};
    for (condition, code, expected) in [
        (Always, 0, "assigned"),
        (Always, 1, "assigned"),
        (OnFailure, 0, "stopped"),
        (OnFailure, 1, "assigned"),
        (Never, 0, "stopped"),
        (Never, 1, "failed"),
    ] {
        let mut bench = Bench::with(RestartPolicy { condition, ..RestartPolicy::default() });
        bench.settle();
        bench.set(&ContainerId("c1".into()), exited(code));
        let plan = bench.look();
        assert_eq!(plan.report.unwrap().status.as_str(), expected, "{condition:?}, exit {code}");
        if expected != "assigned" {
            let last = bench.settle();
            assert_eq!(last.report.unwrap().status.as_str(), expected, "the end stays the end");
            assert_eq!(bench.containers.len(), 1, "its container stays for its logs");
        }
    }
}

#[test]
fn after_max_attempts_in_a_row_the_task_fails_with_its_exit() {
    let mut bench = Bench::with(RestartPolicy { max_attempts: Some(3), ..RestartPolicy::default() });
    for attempt in 1..=3 {
        bench.pass(Duration::from_secs(60));
        bench.memory.running_since = None;
        bench.settle();
        bench.set(&ContainerId(format!("c{attempt}")), exited(7));
        bench.look();
    }
    let plan = bench.settle();
    let Some(TaskStatus::Failed(failure)) = plan.report.map(|report| report.status) else { panic!() };
    assert_eq!(failure.kind, FailureKind::Exited);
    assert_eq!(failure.exit.unwrap().code, Some(7));
    assert_eq!(failure.reason, "exit 7; gave up after 3 attempts in a row");
}

#[test]
fn a_streak_survives_the_agent() {
    let mut bench = Bench::with(RestartPolicy { max_attempts: Some(3), ..RestartPolicy::default() });
    bench.settle();
    for attempt in 1..=2 {
        bench.set(&ContainerId(format!("c{attempt}")), exited(1));
        bench.look();
        bench.pass(Duration::from_secs(1));
        bench.settle();
    }
    bench.set(&ContainerId("c3".into()), exited(1));
    bench.memory = TaskMemory::recalled(bench.memory.streak().unwrap());
    bench.look();
    assert_eq!(bench.settle().report.unwrap().status.as_str(), "failed");
}

#[test]
fn a_container_that_vanished_is_replaced_by_the_next_attempt() {
    let mut bench = Bench::new();
    bench.settle();
    bench.containers.clear();
    bench.says(
        "create attempt 2\nreport assigned (attempt 2): restarting (attempt 2, the container vanished)",
    );
}

#[test]
fn an_end_that_is_the_nodes_doing_is_not_counted() {
    let mut bench = Bench::new();
    bench.settle();
    bench.memory.failures = 7;
    bench.memory.pardon = true;
    bench.set(&ContainerId("c1".into()), exited(137));
    let plan = bench.look();
    assert_eq!((plan.look_again, plan.memory.failures), (None, 7));
    assert!(matches!(plan.step, Some(Step::Create { .. })));
}

#[test]
fn an_end_that_was_counted_just_before_the_engine_went_away_is_forgiven_once() {
    let mut bench = Bench::new();
    bench.settle();
    bench.memory.failures = 7;
    bench.set(&ContainerId("c1".into()), exited(137));
    let plan = bench.look();
    assert_eq!((plan.memory.failures, plan.look_again.is_some()), (8, true));
    let died = bench.now;
    bench.pass(Duration::from_secs(5));
    bench.memory.forgive(died + Duration::from_secs(1));
    assert_eq!(bench.memory.failures, 8, "it was before that");
    bench.memory.forgive(died);
    bench.memory.forgive(died);
    assert_eq!(bench.memory.failures, 7);
    assert!(matches!(bench.look().step, Some(Step::Create { .. })));
}

#[test]
fn what_is_learnt_later_of_an_end_stands_with_the_attempt_that_follows() {
    let mut bench = Bench::new();
    bench.settle();
    bench.set(&ContainerId("c1".into()), exited(137));
    bench.settle();
    let starved = Exit { code: Some(137), oom_killed: true, ..Exit::default() };
    bench.memory.refine(Attempt(2), &Exit::default());
    bench.memory.refine(Attempt(1), &starved);
    assert_eq!(bench.look().report.unwrap().last_exit, Some(starved));
}

/// M19: dead containers are capped, also where they are asked to stay, and go with the task.
#[test]
fn the_newest_dead_containers_stay_as_many_as_asked_for() {
    let mut bench = Bench::new();
    bench.keep_dead = 3;
    for attempt in 1..=8 {
        bench.pass(Duration::from_secs(60));
        bench.settle();
        bench.set(&ContainerId(format!("c{attempt}")), exited(1));
        bench.look();
    }
    bench.pass(Duration::from_secs(60));
    bench.settle();
    let left: Vec<_> = bench.containers.iter().map(|c| c.id.0.as_str()).collect();
    assert_eq!(left, ["c6", "c7", "c8", "c9"]);
    bench.absent = true;
    bench.settle();
    assert!(bench.containers.is_empty());
}

#[test]
fn a_week_of_crashing_keeps_two_containers_at_most() {
    let mut bench = Bench::with(RestartPolicy { backoff: Backoff::default(), ..RestartPolicy::default() });
    let week = bench.now + Duration::from_secs(7 * 24 * 3600);
    let mut most = 0;
    while bench.now < week {
        let plan = bench.settle();
        most = most.max(bench.containers.len());
        match plan.look_again {
            Some(at) => bench.now = at,
            None => {
                let id = bench.memory.container.clone().unwrap();
                bench.set(&id, exited(1));
            }
        }
    }
    assert_eq!(most, 2);
    assert!(bench.memory.attempt().0 > 10_000);
}
