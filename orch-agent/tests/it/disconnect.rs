//! M38: what may not run without the control plane for long.

use std::time::Duration;

use orch_core::service::{OnDisconnect, RestartCondition};

use crate::node::Node;
use crate::server::Mood;

const ALLOWED: Duration = Duration::from_secs(30);

async fn alone() -> (Node, orch_core::id::TaskId) {
    let node = Node::started();
    let task = node
        .runs(|task| {
            task.template.on_disconnect = OnDisconnect::StopAfter(ALLOWED);
            task.template.restart.condition = RestartCondition::Never;
            task.digest = task.template.digest();
        })
        .await;
    node.pass(Duration::from_secs(60)).await;
    assert_eq!(node.running(task), 1, "while the control plane answers, it runs");
    (node, task)
}

/// M38: by the agent's own clock, and again with the first answer, whatever the restart policy. Without `Lapse` it would run
/// for ever beside the one that took its place.
#[tokio::test(start_paused = true)]
async fn a_task_stops_by_itself_without_contact_and_goes_on_with_it() {
    let (node, task) = alone().await;
    let other = node.runs(|_| ()).await;
    node.server.mood(Mood::Away);
    let took = node.until("it is stopped", || node.running(task) == 0).await;
    assert!(took <= ALLOWED + Duration::from_secs(1), "{took:?}");
    assert!(took >= ALLOWED - Duration::from_secs(10), "{took:?}");
    node.pass(Duration::from_secs(600)).await;
    assert_eq!((node.running(task), node.running(other)), (0, 1), "and only that one");
    node.server.mood(Mood::Fine);
    node.until("it goes on", || node.running(task) == 1).await;
    let next = || node.server.said(task).is_some_and(|said| said.attempt.unwrap().0 == 2);
    node.until("it is told", || next() && node.server.said(task).unwrap().status.is_running()).await;
}

#[tokio::test(start_paused = true)]
async fn a_short_silence_stops_nothing() {
    let (node, task) = alone().await;
    for _ in 0..5 {
        node.server.mood(Mood::Away);
        node.pass(Duration::from_secs(15)).await;
        node.server.mood(Mood::Fine);
        node.pass(Duration::from_secs(15)).await;
    }
    assert_eq!(node.runtime.running(task).unwrap().labels.attempt.0, 1);
}

/// M38: a restarted agent has heard nobody yet: it leaves running what runs, for as long as that may, and starts nothing.
/// Without `Lapse::Unproven` it would start what its predecessor stopped.
#[tokio::test(start_paused = true)]
async fn an_agent_that_restarts_during_the_silence_starts_nothing_that_may_run_elsewhere() {
    let (mut node, task) = alone().await;
    node.server.mood(Mood::Away);
    node.pass(Duration::from_secs(5)).await;
    node.crash().await;
    node.start();
    node.pass(Duration::from_secs(20)).await;
    assert_eq!(node.running(task), 1, "it ran, and runs on");
    node.until("it is stopped", || node.running(task) == 0).await;
    node.crash().await;
    node.start();
    node.pass(Duration::from_secs(600)).await;
    assert_eq!(node.running(task), 0);
    node.server.mood(Mood::Fine);
    node.until("it goes on", || node.running(task) == 1).await;
    assert_eq!(node.runtime.running(task).unwrap().labels.attempt.0, 2, "though its policy is never");
}
