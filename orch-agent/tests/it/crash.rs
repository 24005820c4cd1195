use std::time::Duration;

use orch_core::agent::EngineReport;
use orch_core::runtime::ContainerState;
use orch_core::task::Exit;
use orch_core::testing::runtime::{Call, Fault};

use crate::node::Node;
use crate::server::Mood;

#[tokio::test(start_paused = true)]
async fn a_restarted_agent_adopts_what_runs() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    let container = node.runtime.running(task).unwrap();
    node.crash().await;
    node.pass(Duration::from_secs(60)).await;
    node.start();
    node.until("it registers", || node.server.registrations() == 2).await;
    node.pass(Duration::from_secs(30)).await;
    assert_eq!(node.runtime.containers(), [container]);
    assert_eq!((node.server.status(task), node.runtime.calls(Call::Create)), ("running", 1));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_agent_goes_on_while_the_server_is_away() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    node.pass(Duration::from_secs(1)).await;
    node.server.mood(Mood::Away);
    node.crash().await;
    assert!(node.runtime.kill_task(task, 1));
    node.start();
    let took = node.until("its next attempt runs", || node.running(task) == 1).await;
    assert!(took <= Duration::from_millis(50), "{took:?}");
    assert!(!node.status().is_ready());
    node.server.mood(Mood::Fine);
    node.until("it is told", || node.server.said(task).unwrap().attempt.unwrap().0 == 2).await;
    node.until("it is ready", || node.status().is_ready()).await;
}

#[tokio::test(start_paused = true)]
async fn with_the_server_away_what_dies_is_restarted_and_reported_later() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.server.mood(Mood::Away);
    for attempt in 2..=3 {
        node.pass(Duration::from_secs(30)).await;
        node.runtime.kill_task(task, 1);
        let next = || node.runtime.running(task).is_some_and(|c| c.labels.attempt.0 == attempt);
        node.until("the next attempt runs", next).await;
    }
    node.server.mood(Mood::Fine);
    node.until("it is told", || node.server.said(task).unwrap().attempt.unwrap().0 == 3).await;
    assert_eq!((node.server.status(task), node.server.registrations()), ("running", 1));
}

/// A crash at every millisecond of a deployment whose every step takes time.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_of_a_deployment_leaves_one_container_in_the_end() {
    for moment in 0..45 {
        let mut node = Node::started();
        node.runtime.behave(|behaviour| {
            behaviour.pull_delay = Duration::from_millis(10);
            behaviour.create_delay = Duration::from_millis(10);
            behaviour.start_delay = Duration::from_millis(10);
        });
        node.until("it registers", || node.server.registrations() == 1).await;
        let task = node.task(|_| ());
        node.server.put(task.clone());
        node.pass(Duration::from_millis(moment)).await;
        node.crash().await;
        node.start();
        node.until("it runs", || node.server.status(task.id) == "running").await;
        assert_eq!(
            (node.running(task.id), node.runtime.containers().len()),
            (1, 1),
            "crash after {moment} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_that_a_crash_left_are_removed() {
    let mut node = Node::new();
    let task = node.task(|_| ());
    let running = || ContainerState::Running { since: Default::default() };
    let dead = || ContainerState::Exited(Exit { code: Some(1), ..Exit::default() });
    for (attempt, state) in [(1, dead()), (2, dead()), (3, running()), (4, running())] {
        node.runtime.insert(&format!("orch-{attempt}"), node.labels(&task, attempt), state);
    }
    node.server.put(task.clone());
    node.start();
    node.until("the newest is said to run", || node.server.status(task.id) == "running").await;
    node.until("one dead one is left", || node.runtime.of_task(task.id).len() == 2).await;
    assert_eq!((node.running(task.id), node.server.said(task.id).unwrap().attempt.unwrap().0), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn what_left_the_desired_set_while_the_agent_was_down_is_removed_first_thing() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    node.crash().await;
    node.server.drop_task(task);
    node.start();
    node.until("it is removed", || node.server.status(task) == "removed").await;
    assert!(node.runtime.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_knows_nothing_and_reaches_nobody_touches_nothing() {
    let mut node = Node::new();
    let task = node.task(|_| ());
    let state = ContainerState::Running { since: Default::default() };
    node.runtime.insert("orch-1", node.labels(&task, 1), state);
    node.server.mood(Mood::Away);
    node.start();
    node.pass(Duration::from_secs(300)).await;
    assert_eq!(node.running(task.id), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_engine_away_states_freeze_and_heartbeats_go_on() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.pass(Duration::from_secs(5)).await;
    let (reports, beats) = (node.server.reports(), node.server.heartbeats().len());
    node.runtime.set_reachable(false);
    node.pass(Duration::from_secs(120)).await;
    assert_eq!((node.server.reports(), node.server.status(task)), (reports, "running"));
    assert!(node.server.heartbeats().len() > beats + 20);
    assert!(!node.status().runtime_reachable);
    // M43: said once when it changes, and not with every heartbeat.
    let told = || node.server.heartbeats().into_iter().filter_map(|beat| beat.engine).collect::<Vec<_>>();
    let away = |report: &EngineReport| matches!(report, EngineReport::Unreachable { ago, reason } if !reason.is_empty() && ago.as_secs() <= 10);
    // The first heartbeat may have come before, and said that all is well.
    assert!(told().len() <= 2 && told().last().is_some_and(away), "{:?}", told());
    node.runtime.set_reachable(true);
    node.until("that it is back is told", || told().last() == Some(&EngineReport::Reachable)).await;
    node.until("it is back", || node.status().is_ready()).await;
    assert_eq!((node.server.reports(), node.running(task)), (reports, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_engine_restart_killed_is_restarted_at_once_and_not_counted() {
    let node = Node::started();
    let task = node.runs(|task| task.template.restart.max_attempts = Some(2)).await;
    for attempt in 2..6 {
        node.runtime.restart_engine();
        let next = || node.runtime.running(task).is_some_and(|c| c.labels.attempt.0 == attempt);
        let took = node.until("the next attempt runs", next).await;
        assert!(took <= Duration::from_millis(50), "{took:?}");
        node.until("it is said", || node.server.status(task) == "running").await;
    }
}

/// What ends while the engine is away is not begun anew before it is back. Were only those looked at then of which its list tells
/// something new, one that ended while the list was made would stay dead: it is known, and nobody acts on it.
#[tokio::test(start_paused = true)]
async fn what_ends_while_an_engine_that_was_away_lists_is_begun_anew_once_it_is_back() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let lists = node.runtime.calls(Call::List);
    node.runtime.fail_next(Call::Create, Fault::Unreachable);
    node.runtime.fail_next(Call::List, Fault::Slow(Duration::from_secs(1)));
    let other = node.task(|_| ());
    node.server.put(other.clone());
    node.until("it lists", || node.runtime.calls(Call::List) > lists).await;
    assert!(node.runtime.kill_task(task, 1));
    let next = || node.runtime.running(task).is_some_and(|c| c.labels.attempt.0 == 2);
    let took = node.until("the next attempt runs", next).await;
    assert!(took < Duration::from_secs(2), "{took:?}");
    node.until("the other runs, too", || node.running(other.id) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn under_random_faults_of_the_engine_all_comes_right_once_they_end() {
    for seed in 0..10 {
        let node = Node::started();
        let chance = std::sync::Mutex::new(orch_core::id::IdStream::seeded(seed));
        node.runtime.behave(|behaviour| behaviour.exit_after = Some((Duration::from_secs(7), 1)));
        node.runtime.set_fault_source(Some(std::sync::Arc::new(move |_| {
            match chance.lock().unwrap().next_u64() % 10 {
                0 => Some(Fault::Unreachable),
                1 => Some(Fault::AfterDoing),
                2 => Some(Fault::Slow(Duration::from_millis(300))),
                3 => Some(Fault::Retry("busy".to_owned())),
                _ => None,
            }
        })));
        let tasks: Vec<_> = (0..5).map(|_| node.task(|_| ())).collect();
        for task in &tasks {
            node.server.put(task.clone());
        }
        for _ in 0..600 {
            node.pass(Duration::from_millis(100)).await;
            for task in &tasks {
                assert!(node.running(task.id) <= 1, "seed {seed}");
            }
        }
        node.runtime.set_fault_source(None);
        node.runtime.behave(|behaviour| behaviour.exit_after = None);
        for task in &tasks {
            let settled = || node.running(task.id) == 1 && node.server.status(task.id) == "running";
            let failed = || node.server.status(task.id) == "failed";
            node.until("it runs, or was given up", || settled() || failed()).await;
            let most = if failed() { 1 } else { 2 };
            node.until("the rest is removed", || node.runtime.of_task(task.id).len() <= most).await;
        }
    }
}
