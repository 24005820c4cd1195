//! The table: what is wanted, what is there, what is remembered → what is done and said.

use std::time::Duration;

use super::*;
use crate::id::{ClusterId, IdStream, NodeId, ServiceId};
use crate::runtime::{ContainerId, ContainerLabels};
use crate::service::{
    Backoff, ImageDigest, RestartCondition, RestartPolicy, StopPolicy, TaskTemplate, Version,
};
use crate::task::{Attempt, Slot};
use crate::time::Timestamp;

/// One task on one node, its containers, and a clock.
struct Bench {
    desired: DesiredTask,
    containers: Vec<ObservedContainer>,
    memory: TaskMemory,
    now: Monotonic,
    absent: bool,
    refusal: Option<&'static str>,
    keep_dead: usize,
}

fn template(restart: RestartPolicy) -> TaskTemplate {
    TaskTemplate {
        image: "web:1".parse().unwrap(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        workdir: None,
        env: Default::default(),
        secrets: Vec::new(),
        ports: Vec::new(),
        requests: Default::default(),
        limits: Default::default(),
        security: Default::default(),
        mounts: Vec::new(),
        settings: Default::default(),
        health: None,
        restart,
        stop: StopPolicy::default(),
        labels: Default::default(),
        init: true,
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(RestartPolicy::default())
    }

    fn with(restart: RestartPolicy) -> Self {
        let mut ids = IdStream::seeded(1);
        let template = template(restart);
        Self {
            desired: DesiredTask {
                id: ids.next(),
                namespace: crate::name::Namespace::default_namespace(),
                service: ids.next::<ServiceId>(),
                service_name: "web".parse().unwrap(),
                slot: Slot(1),
                version: Version(1),
                digest: template.digest(),
                desired: DesiredStatus::Running,
                attempt: Attempt::FIRST,
                template,
                ports: Vec::new(),
            },
            containers: Vec::new(),
            memory: TaskMemory::default(),
            now: Monotonic::from_origin(Duration::from_secs(100)),
            absent: false,
            refusal: None,
            keep_dead: 1,
        }
    }

    fn container(mut self, attempt: u32, state: ContainerState) -> Self {
        let labels = ContainerLabels {
            cluster: IdStream::seeded(2).next::<ClusterId>(),
            node: IdStream::seeded(3).next::<NodeId>(),
            service: self.desired.service,
            task: self.desired.id,
            attempt: Attempt(attempt),
            version: self.desired.version,
            digest: self.desired.digest,
            restart: self.desired.template.restart.clone(),
            stop: self.desired.template.stop.clone(),
        };
        self.containers.push(ObservedContainer { id: ContainerId(format!("c{attempt}")), labels, state });
        self
    }

    fn desired(mut self, desired: DesiredStatus) -> Self {
        self.desired.desired = desired;
        self
    }

    fn look(&mut self) -> TaskPlan {
        let plan = {
            let desired = (!self.absent).then_some(&self.desired);
            let view = TaskView {
                task: self.desired.id,
                intent: Intent::of(desired),
                refusal: self.refusal,
                containers: &self.containers,
                memory: &self.memory,
                keep_dead: self.keep_dead,
            };
            converge(&view, self.now, 0)
        };
        self.memory = plan.memory.clone();
        plan
    }

    fn says(&mut self, expected: &str) {
        let plan = self.look();
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(plan.to_string(), expected.trim_start_matches('\n'), "{plan:#?}");
    }

    /// Carries a step out, as a runtime in which all goes well.
    fn carry_out(&mut self, step: &Step) {
        let done = match step {
            Step::Pull { .. } => StepDone::Pulled(ImageDigest("sha256:1".into())),
            Step::Create { attempt, .. } => {
                let this = std::mem::replace(self, Self::new());
                *self = this.container(attempt.0, ContainerState::Created);
                StepDone::Created(ContainerId(format!("c{attempt}")))
            }
            Step::Start { container } => {
                self.set(container, ContainerState::Running { since: Timestamp::ZERO });
                StepDone::Started
            }
            Step::Stop { container, .. } => {
                self.set(container, exited(143));
                StepDone::Stopped
            }
            Step::Remove { container } => {
                self.containers.retain(|c| &c.id != container);
                StepDone::Removed
            }
        };
        self.memory.after(step, Ok(&done), self.now, 0);
    }

    fn set(&mut self, container: &ContainerId, state: ContainerState) {
        self.containers.iter_mut().find(|c| &c.id == container).unwrap().state = state;
    }

    /// Looks and acts until there is nothing to do; answers the last plan.
    fn settle(&mut self) -> TaskPlan {
        for _ in 0..50 {
            let plan = self.look();
            match &plan.step {
                Some(step) => self.carry_out(&step.clone()),
                None => return plan,
            }
        }
        panic!("does not settle");
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }
}

fn running() -> ContainerState {
    ContainerState::Running { since: Timestamp::ZERO }
}

fn exited(code: i32) -> ContainerState {
    ContainerState::Exited(Exit { code: Some(code), ..Exit::default() })
}

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
    let (mut tries, started) = (0, bench.now);
    let end = loop {
        let plan = bench.look();
        match plan.step {
            Some(step @ Step::Create { .. }) => {
                tries += 1;
                bench.memory.after(&step, Err(&failure), bench.now, 0);
            }
            Some(step) => bench.carry_out(&step),
            None => match plan.look_again {
                Some(at) => bench.now = at,
                None => break plan.report.unwrap().status,
            },
        }
    };
    let TaskStatus::Failed(failure) = end else { panic!() };
    assert_eq!((tries, failure.kind, failure.reason.as_str()), (8, FailureKind::Engine, "port is taken"));
    assert!(bench.now.since(started) > Duration::from_secs(30));
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

/// M51: without the tries a port that its engine freed a moment later would cost the task.
#[test]
fn a_taken_port_is_tried_a_few_times_and_then_the_end() {
    let mut bench = Bench::new();
    let failure = StepFailure::Permanent { kind: FailureKind::Port, message: "it is taken".into() };
    let (mut tries, started) = (0, bench.now);
    let end = loop {
        let plan = bench.look();
        match plan.step {
            Some(step @ Step::Start { .. }) => {
                tries += 1;
                bench.memory.after(&step, Err(&failure), bench.now, 0);
            }
            Some(step) => bench.carry_out(&step),
            None => match plan.look_again {
                Some(at) => bench.now = at,
                None => break plan.report.unwrap().status,
            },
        }
    };
    let TaskStatus::Failed(failure) = end else { panic!() };
    assert_eq!((tries, failure.kind, failure.reason.as_str()), (4, FailureKind::Port, "it is taken"));
    let took = bench.now.since(started);
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(20), "{took:?}");
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

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = ContainerState> {
        prop_oneof![
            Just(ContainerState::Created),
            Just(running()),
            (0..3i32).prop_map(exited),
            Just(ContainerState::Dead)
        ]
    }

    fn policy() -> impl Strategy<Value = RestartPolicy> {
        (
            prop_oneof![
                Just(RestartCondition::Always),
                Just(RestartCondition::OnFailure),
                Just(RestartCondition::Never)
            ],
            proptest::option::of(1..4u32),
        )
            .prop_map(|(condition, max_attempts)| RestartPolicy {
                condition,
                max_attempts,
                backoff: Backoff::default(),
            })
    }

    proptest! {
        /// From any mess a runtime can be left in, a task comes to rest with one running container, or at its end with
        /// none, and no more than one dead one beside it; and every start finds no other container running.
        #[test]
        fn any_mess_comes_to_rest(
            policy in policy(),
            containers in proptest::collection::btree_map(1..5u32, (state(), any::<bool>()), 0..4),
            known in 1..5u32,
            wanted in prop_oneof![Just(DesiredStatus::Running), Just(DesiredStatus::Stopped), Just(DesiredStatus::Removed)],
        ) {
            let mut bench = Bench::with(policy);
            bench.desired.attempt = Attempt(known);
            bench.desired.desired = wanted;
            for (attempt, (state, fits)) in containers {
                bench = bench.container(attempt, state);
                if !fits {
                    bench.containers.last_mut().unwrap().labels.version = Version(9);
                }
            }
            let mut last = None;
            for _ in 0..60 {
                let plan = bench.look();
                if let (Some(report), Some((attempt, status))) = (&plan.report, &last) {
                    let to = report.attempt.unwrap();
                    let status: &TaskStatus = status;
                    prop_assert!(status.check_advance(*attempt, &report.status, to).is_ok(), "{status:?} → {report:?}");
                }
                if let Some(report) = &plan.report {
                    last = Some((report.attempt.unwrap(), report.status.clone()));
                }
                match &plan.step {
                    Some(step) => {
                        if matches!(step, Step::Start { .. }) {
                            prop_assert!(!bench.containers.iter().any(is_running));
                        }
                        bench.carry_out(&step.clone());
                    }
                    None => match plan.look_again {
                        Some(at) => bench.now = at,
                        None => break,
                    },
                }
            }
            let plan = bench.look();
            prop_assert_eq!(&plan.step, &None);
            let running = bench.containers.iter().filter(|c| is_running(c)).count();
            let status = plan.report.map(|report| report.status);
            match wanted {
                DesiredStatus::Running if bench.memory.end.is_none() => prop_assert_eq!(running, 1),
                DesiredStatus::Running | DesiredStatus::Stopped => {
                    prop_assert_eq!(running, 0);
                    prop_assert!(status.unwrap().is_terminal());
                }
                DesiredStatus::Removed => prop_assert!(bench.containers.is_empty() && plan.finished),
            }
            prop_assert!(bench.containers.len() - running <= 1);
        }
    }
}
