use std::sync::atomic::Ordering;
use std::time::Duration;

use orch_core::runtime::{ContainerState, LogOptions};
use orch_core::secret::{SecretDelivery, SecretRef};
use orch_core::service::{AssignedPort, HealthCheck, Probe, Protocol, RestartCondition};
use orch_core::task::{DesiredStatus, FailureKind, TaskStatus};
use orch_core::testing::runtime::{Call, Fault};

use crate::node::Node;

#[tokio::test(start_paused = true)]
async fn a_task_is_deployed_stopped_and_removed() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let container = node.runtime.running(task).unwrap();
    assert_eq!(node.runtime.name_of(&container.id), Some(format!("orch-{task}")));
    assert_eq!(node.server.said(task).unwrap().container, Some(container.id));
    node.server.change(task, |task| task.desired = DesiredStatus::Stopped);
    node.until("it is stopped", || node.server.status(task) == "stopped").await;
    assert_eq!((node.running(task), node.runtime.of_task(task).len()), (0, 1));
    node.server.drop_task(task);
    node.until("it is removed", || node.server.status(task) == "removed").await;
    assert!(node.runtime.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_leaves_discovery_before_it_is_signalled() {
    let node = Node::started();
    let task = node.runs(|task| task.template.stop.delay = Duration::from_secs(2)).await;
    node.server.change(task, |task| task.desired = DesiredStatus::Stopped);
    node.until("it is said", || node.server.status(task) == "stopping").await;
    let took = node.until("it is signalled", || node.running(task) == 0).await;
    assert!(took >= Duration::from_millis(1_900) && took <= Duration::from_millis(2_050), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quiet_node_says_and_does_nothing_but_heartbeat() {
    let node = Node::started();
    node.runs(|_| ()).await;
    node.pass(Duration::from_secs(5)).await;
    let (reports, starts) = (node.server.reports(), node.runtime.calls(Call::Start));
    node.pass(Duration::from_secs(600)).await;
    assert_eq!(node.server.reports(), reports);
    assert_eq!((node.runtime.calls(Call::Start), node.runtime.calls(Call::Create)), (starts, 1));
    assert!(node.runtime.calls(Call::Inspect) <= 4, "{}", node.runtime.calls(Call::Inspect));
    assert!(node.runtime.calls(Call::List) <= 12);
    assert!(node.server.heartbeats().len() > 100);
}

#[tokio::test(start_paused = true)]
async fn fifty_tasks_of_one_image_share_its_pull_and_start_a_few_at_a_time() {
    let node = Node::started();
    node.runtime.behave(|behaviour| {
        behaviour.pull_delay = Duration::from_secs(10);
        behaviour.start_delay = Duration::from_millis(100);
    });
    let tasks: Vec<_> = (0..50).map(|_| node.task(|_| ())).collect();
    for task in &tasks {
        node.server.put(task.clone());
    }
    node.pass(Duration::from_secs(5)).await;
    let said = node.server.said(tasks[49].id).unwrap();
    assert_eq!((said.status.as_str(), said.note.as_deref()), ("pulling", Some("layer 1 of 1")));
    let running = || tasks.iter().filter(|task| node.server.status(task.id) == "running").count();
    let took = node.until("all run", || running() == 50).await;
    assert_eq!((node.runtime.pulls(), node.runtime.calls(Call::EnsureImage)), (1, 1));
    // Eight at a time, as on a small machine: 7 rounds of 100 ms after the rest of the pull.
    assert!(took >= Duration::from_millis(5_600) && took < Duration::from_millis(6_000), "{took:?}");
}

/// M44: a call that hangs delays its own task alone, is given up, and is made again.
#[tokio::test(start_paused = true)]
async fn one_hanging_call_holds_up_no_other_task_and_no_heartbeat() {
    let node = Node::started();
    node.runtime.fail_next(Call::Start, Fault::Hang);
    let stuck = node.task(|_| ());
    node.server.put(stuck.clone());
    node.until("the first hangs", || node.runtime.calls(Call::Start) == 1).await;
    node.runs(|task| task.template.image = "other:1".parse().unwrap()).await;
    let before = node.server.heartbeats().len();
    node.pass(Duration::from_secs(55)).await;
    assert!(node.server.heartbeats().len() > before + 8);
    assert_eq!(node.server.status(stuck.id), "created");
    let took = node.until("the call is made again", || node.server.status(stuck.id) == "running").await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    assert!(node.status().runtime_reachable, "one call says nothing of the runtime");
}

/// M44: a list that hangs is given up and begun again; until then the runtime counts as away, and nothing is touched.
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_is_begun_again() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.pass(Duration::from_secs(5)).await;
    node.runtime.fail_next(Call::List, Fault::Hang);
    node.until("a list hangs and is given up", || !node.status().runtime_reachable).await;
    let lists = node.runtime.calls(Call::List);
    let took = node.until("another one is answered", || node.status().runtime_reachable).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert_eq!((node.runtime.calls(Call::List), node.runtime.calls(Call::Start)), (lists + 1, 1));
    assert_eq!((node.running(task), node.server.status(task)), (1, "running"));
    // Its sweeps go on.
    node.runtime.eat_events(1);
    node.runtime.kill_task(task, 1);
    node.until("a sweep finds the death", || node.running(task) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_hangs_does_not_keep_a_task_from_being_stopped() {
    let node = Node::started();
    node.runtime.fail_next(Call::EnsureImage, Fault::Hang);
    let task = node.task(|_| ());
    node.server.put(task.clone());
    node.until("it pulls", || node.server.status(task.id) == "pulling").await;
    node.server.change(task.id, |task| task.desired = DesiredStatus::Stopped);
    let took = node.until("it is stopped", || node.server.status(task.id) == "stopped").await;
    assert!(took < Duration::from_millis(50));
    // Nor does it hold the place of the next pull of that image.
    node.runs(|_| ()).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_container_is_replaced_at_once_and_then_with_growing_waits() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let mut waits = Vec::new();
    for attempt in 2..=5 {
        assert!(node.runtime.kill_task(task, 1));
        let runs_again = || node.runtime.running(task).is_some_and(|c| c.labels.attempt.0 == attempt);
        waits.push(node.until("the next attempt runs", runs_again).await);
        node.until("it is said", || node.server.said(task).unwrap().attempt.unwrap().0 == attempt).await;
        node.until("it is said to run", || node.server.status(task) == "running").await;
    }
    assert!(waits[0] <= Duration::from_millis(50), "{waits:?}");
    for (wait, full) in waits[1..].iter().zip([1_000, 2_000, 4_000]) {
        let full = Duration::from_millis(full);
        assert!(*wait >= full / 2 && *wait <= full + Duration::from_millis(20), "{waits:?}");
    }
    assert_eq!(node.server.said(task).unwrap().last_exit.unwrap().code, Some(1));
    assert_eq!(node.runtime.of_task(task).len(), 2, "one dead container is kept");
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_waits_says_when_and_why() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.runtime.kill_task(task, 1);
    node.until("attempt 2 runs", || node.running(task) == 1).await;
    node.runtime.kill_task(task, 3);
    node.until("it is said", || node.server.status(task) == "assigned").await;
    let said = node.server.said(task).unwrap();
    let note = said.note.unwrap();
    // A second at most, which rounding may say.
    let (wait, rest) = note.strip_prefix("restarting in ").unwrap().split_once(" s").unwrap();
    assert!(wait.starts_with("0.") || wait == "1.0", "{note}");
    assert_eq!(rest, " (attempt 3, exit 3)");
    assert_eq!(said.attempt.unwrap().0, 3);
}

#[tokio::test(start_paused = true)]
async fn the_restart_policy_ends_where_it_says() {
    let node = Node::started();
    let once = node.runs(|task| task.template.restart.condition = RestartCondition::OnFailure).await;
    let never = node.runs(|task| task.template.restart.condition = RestartCondition::Never).await;
    node.runtime.kill_task(once, 0);
    node.runtime.kill_task(never, 4);
    node.until("one stopped", || node.server.status(once) == "stopped").await;
    node.until("one failed", || node.server.status(never) == "failed").await;
    let TaskStatus::Failed(failure) = node.server.said(never).unwrap().status else { panic!() };
    assert_eq!((failure.kind, failure.exit.unwrap().code), (FailureKind::Exited, Some(4)));
}

/// M46: events are hints; what they miss is found by the sweep.
#[tokio::test(start_paused = true)]
async fn a_death_that_no_event_told_of_is_found_by_the_next_sweep() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.runtime.eat_events(1);
    node.runtime.kill_task(task, 1);
    let took = node.until("it is replaced", || node.running(task) == 1).await;
    assert!(took > Duration::from_secs(5) && took <= Duration::from_secs(60), "{took:?}");
    let container = node.runtime.running(task).unwrap();
    node.runtime.forget(&container.id);
    node.until("it is replaced, too", || node.running(task) == 1).await;
    assert_eq!(node.runtime.running(task).unwrap().labels.attempt.0, 3);
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_did_and_denied_is_not_done_twice() {
    let node = Node::started();
    for call in [Call::EnsureImage, Call::Create, Call::Start, Call::Stop, Call::Remove] {
        node.runtime.fail_next(call, Fault::AfterDoing);
    }
    let task = node.runs(|_| ()).await;
    assert_eq!((node.running(task), node.runtime.containers().len()), (1, 1));
    node.server.drop_task(task);
    node.until("it is removed", || node.server.status(task) == "removed").await;
    assert!(node.runtime.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_fails_the_task_with_the_engines_words() {
    let node = Node::started();
    let no = Fault::Permanent(FailureKind::Image, "manifest unknown".to_owned());
    node.runtime.fail_next(Call::EnsureImage, no);
    let task = node.task(|_| ());
    node.server.put(task.clone());
    node.until("it fails", || node.server.status(task.id) == "failed").await;
    let TaskStatus::Failed(failure) = node.server.said(task.id).unwrap().status else { panic!() };
    assert_eq!((failure.kind, failure.reason.as_str()), (FailureKind::Image, "manifest unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_does_not_exist_fails_the_task() {
    let node = Node::started();
    let task = node.task(|task| {
        let delivery = SecretDelivery::Env("DB".parse().unwrap());
        task.template.secrets = vec![SecretRef { name: "db".parse().unwrap(), key: None, delivery }];
    });
    node.server.put(task.clone());
    node.until("it fails", || node.server.status(task.id) == "failed").await;
    assert!(node.runtime.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_node_forbids_does_not_run_whatever_the_server_says() {
    let node = Node::started();
    let task = node.task(|task| task.template.security.privileged = true);
    node.server.put(task.clone());
    node.until("it fails", || node.server.status(task.id) == "failed").await;
    let TaskStatus::Failed(failure) = node.server.said(task.id).unwrap().status else { panic!() };
    assert_eq!(failure.kind, FailureKind::Forbidden);
    assert_eq!(node.runtime.calls(Call::Create), 0);
}

#[tokio::test(start_paused = true)]
async fn containers_of_other_owners_are_left_alone() {
    let mut node = Node::new();
    let task = node.task(|_| ());
    let mut labels = node.labels(&task, 1);
    labels.node = orch_core::id::IdStream::seeded(5).next();
    let foreign = node.runtime.insert("foreign", labels, ContainerState::Created);
    node.start();
    node.server.put(task.clone());
    node.until("ours runs", || node.server.status(task.id) == "running").await;
    node.server.drop_task(task.id);
    node.until("ours is gone", || node.server.status(task.id) == "removed").await;
    let left: Vec<_> = node.runtime.containers().into_iter().map(|c| (c.id, c.state)).collect();
    assert_eq!(left, [(foreign, ContainerState::Created)]);
}

fn checked(task: &mut orch_core::agent::DesiredTask) {
    let port = 80.try_into().unwrap();
    task.template.health = Some(HealthCheck {
        probe: Probe::Tcp { port },
        start_period: Duration::ZERO,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        healthy_threshold: 1,
        unhealthy_threshold: 3,
    });
    let host_port = 30_000.try_into().unwrap();
    task.ports = vec![AssignedPort { name: None, protocol: Protocol::Tcp, container_port: port, host_port }];
}

#[tokio::test(start_paused = true)]
async fn health_follows_the_probes_and_its_failure_says_what_was_asked() {
    let node = Node::started();
    let task = node.runs(checked).await;
    node.pass(Duration::from_secs(1)).await;
    node.prober.serve(true);
    let took = node.until("it is healthy", || node.server.status(task) == "healthy").await;
    assert!(took <= Duration::from_millis(260), "{took:?}");
    node.prober.serve(false);
    let took = node.until("it is unhealthy", || node.server.status(task) == "unhealthy").await;
    assert!(took >= Duration::from_secs(4) && took <= Duration::from_secs(7), "{took:?}");
    assert_eq!(node.server.said(task).unwrap().note.as_deref(), Some("connection refused"));
    node.server.drop_task(task);
    node.until("it is removed", || node.server.status(task) == "removed").await;
    node.pass(Duration::from_secs(5)).await;
    let asked = node.prober.asked.load(Ordering::Relaxed);
    node.pass(Duration::from_secs(60)).await;
    assert_eq!(node.prober.asked.load(Ordering::Relaxed), asked, "nothing is probed that is gone");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_not_published_is_never_probed() {
    let node = Node::started();
    node.runs(|task| {
        checked(task);
        task.ports.clear();
    })
    .await;
    node.pass(Duration::from_secs(60)).await;
    assert_eq!(node.prober.asked.load(Ordering::Relaxed), 0);
}

fn checked_by_command(task: &mut orch_core::agent::DesiredTask) {
    task.template.health = Some(HealthCheck {
        probe: Probe::Exec { command: vec!["check".to_owned(), "-q".to_owned()] },
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        start_period: Duration::ZERO,
        healthy_threshold: 1,
        unhealthy_threshold: 2,
    });
}

/// Deploys a task whose health a command tells.
fn put_checked_by_command(node: &Node) -> orch_core::id::TaskId {
    let task = node.task(checked_by_command);
    let id = task.id;
    node.server.put(task);
    id
}

#[tokio::test(start_paused = true)]
async fn health_follows_the_commands_of_a_check() {
    let node = Node::started();
    let task = put_checked_by_command(&node);
    node.until("it is healthy", || node.server.status(task) == "healthy").await;
    node.runtime.behave(|behaviour| behaviour.check_exit = 3);
    let took = node.until("it is unhealthy", || node.server.status(task) == "unhealthy").await;
    assert!(took >= Duration::from_secs(5) && took <= Duration::from_secs(11), "{took:?}");
    assert_eq!(node.server.said(task).unwrap().note.as_deref(), Some("`check -q`: exit code 3: checked"));
    node.runtime.behave(|behaviour| behaviour.check_exit = 0);
    node.until("it is healthy again", || node.server.status(task) == "healthy").await;
    let asked = node.runtime.calls(Call::Check);
    node.pass(Duration::from_secs(600)).await;
    let asked = node.runtime.calls(Call::Check) - asked;
    assert!((115..=121).contains(&asked), "once an interval: {asked}");
}

#[tokio::test(start_paused = true)]
async fn commands_that_hang_are_bounded_and_say_nothing_of_their_containers() {
    let node = Node::started();
    let healthy = put_checked_by_command(&node);
    node.until("it is healthy", || node.server.status(healthy) == "healthy").await;
    // The engine answers none of the next calls: each holds its place for as long as the agent bears it.
    for _ in 0..12 {
        node.runtime.fail_next(Call::Check, Fault::Hang);
    }
    let tasks: Vec<_> = (0..12).map(|_| put_checked_by_command(&node)).collect();
    for task in &tasks {
        node.until("it runs", || node.server.status(*task) == "running").await;
    }
    let asked = node.runtime.calls(Call::Check);
    node.pass(Duration::from_secs(8)).await;
    assert!(node.runtime.calls(Call::Check) <= asked + 4, "four at a time");
    assert_eq!(node.server.status(healthy), "healthy", "unknown is not unhealthy");
    // Other work goes on meanwhile, and in the end all of them are asked.
    node.runs(|_| ()).await;
    for task in tasks {
        node.until("it is healthy", || node.server.status(task) == "healthy").await;
    }
    assert_eq!(node.server.status(healthy), "healthy");
}

#[tokio::test(start_paused = true)]
async fn logs_are_delivered_to_whoever_waits() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let container = node.runtime.running(task).unwrap().id;
    node.runtime.write_log(&container, "one");
    node.runtime.write_log(&container, "two");
    node.server.want_logs(task, "t1", LogOptions { tail: Some(1), ..LogOptions::default() });
    node.until("it is delivered", || node.server.delivered("t1").is_some()).await;
    assert_eq!(node.server.delivered("t1"), Some(Ok(b"two\n".to_vec())));
    let stranger = node.task(|_| ()).id;
    node.server.want_logs(stranger, "t2", LogOptions::default());
    node.until("it is refused", || node.server.delivered("t2").is_some()).await;
    assert!(node.server.delivered("t2").unwrap().unwrap_err().contains("no container"));
}
