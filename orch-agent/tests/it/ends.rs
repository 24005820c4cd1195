//! The ends of containers: what they lead to, how soon, and what is said of them.

use std::time::Duration;

use orch_core::service::RestartCondition;
use orch_core::task::TaskStatus;
use orch_core::testing::runtime::Call;

use crate::node::Node;

/// An engine that tidies up for 140 ms before it answers a question about a dead container, and creates in 30 ms.
fn tidies_up(node: &Node) {
    node.runtime.behave(|behaviour| {
        behaviour.tidy_delay = Duration::from_millis(140);
        behaviour.create_delay = Duration::from_millis(30);
    });
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_waits_for_no_look_at_the_dead_container() {
    let node = Node::started();
    tidies_up(&node);
    let task = node.runs(|_| ()).await;
    let first = node.runtime.running(task).unwrap().id;
    let looks = node.runtime.calls(Call::Inspect);
    assert!(node.runtime.kill(&first, 3));
    let took = node.until("the next attempt runs", || node.running(task) == 1).await;
    assert!(took <= Duration::from_millis(45), "{took:?}");
    assert_ne!(node.runtime.running(task).unwrap().id, first);
    node.until("it is said", || node.server.said(task).unwrap().attempt.unwrap().0 == 2).await;
    assert_eq!(node.server.said(task).unwrap().last_exit.unwrap().code, Some(3));
    node.pass(Duration::from_secs(1)).await;
    assert_eq!(node.runtime.calls(Call::Inspect) - looks, 1, "how it ended is asked once, in passing");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_launch_is_looked_at_that_its_events_told() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.pass(Duration::from_secs(5)).await;
    assert_eq!((node.running(task), node.runtime.calls(Call::Inspect)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_told_twice_is_one_end() {
    let node = Node::started();
    node.runtime.double_events(true);
    tidies_up(&node);
    let task = node.runs(|_| ()).await;
    for attempt in 2..=4 {
        node.pass(Duration::from_secs(30)).await;
        node.runtime.kill_task(task, 1);
        node.until("the next attempt runs", || node.running(task) == 1).await;
        node.pass(Duration::from_secs(5)).await;
        assert_eq!(node.runtime.running(task).unwrap().labels.attempt.0, attempt);
    }
}

/// M47: the engine tells the death before it tells what killed; both are said.
#[tokio::test(start_paused = true)]
async fn lack_of_memory_is_said_even_where_the_engine_tells_it_after_the_death() {
    let node = Node::started();
    tidies_up(&node);
    let task = node.runs(|_| ()).await;
    node.runtime.starve(&node.runtime.running(task).unwrap().id);
    let took = node.until("the next attempt runs", || node.running(task) == 1).await;
    assert!(took <= Duration::from_millis(45), "{took:?}");
    let known = || node.server.said(task).unwrap().last_exit.is_some_and(|exit| exit.oom_killed);
    node.until("why it died is said", known).await;

    let never = node.runs(|task| task.template.restart.condition = RestartCondition::Never).await;
    node.runtime.starve(&node.runtime.running(never).unwrap().id);
    node.until("it is said to have failed", || node.server.status(never) == "failed").await;
    let TaskStatus::Failed(failure) = node.server.said(never).unwrap().status else { panic!() };
    assert!(failure.exit.unwrap().oom_killed && failure.reason.contains("memory"), "{}", failure.reason);
}

/// M56: an engine that is stopped ends its containers first and says so; that is the node's doing.
#[tokio::test(start_paused = true)]
async fn what_an_engine_ended_while_it_was_stopped_is_not_counted() {
    let node = Node::started();
    tidies_up(&node);
    let task = node.runs(|task| task.template.restart.max_attempts = Some(2)).await;
    for attempt in 2..6 {
        node.runtime.stop_engine();
        node.pass(Duration::from_secs(10)).await;
        node.runtime.set_reachable(true);
        let took = node.until("the next attempt runs", || node.running(task) == 1).await;
        assert!(took <= Duration::from_millis(500), "{took:?}");
        let said = || node.server.said(task).unwrap().attempt.unwrap().0 == attempt;
        node.until("it is said", || said() && node.server.status(task) == "running").await;
    }
}
