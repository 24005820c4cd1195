use std::time::Duration;

use orch_core::identity::KeyProof;
use orch_core::testing::runtime::Call;

use crate::node::Node;
use crate::server::Mood;

#[tokio::test(start_paused = true)]
async fn registration_proves_the_node_key() {
    let node = Node::started();
    node.until("it registers", || node.server.registrations() == 1).await;
    let request = node.server.last_registration();
    let proof = request.key.unwrap();
    let text = KeyProof::signed_text(&proof.challenge, &request.claim, None);
    let decode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let public = ring::signature::UnparsedPublicKey::new(
        &ring::signature::ECDSA_P256_SHA256_FIXED,
        decode(&proof.key.0),
    );
    assert!(public.verify(&text, &decode(&proof.signature)).is_ok());
    assert!(request.claim.boot.is_some());
    assert_eq!(request.token.unwrap().expose(), "token");
}

#[tokio::test(start_paused = true)]
async fn a_reset_identity_is_got_back_without_touching_a_container() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let container = node.runtime.running(task).unwrap();
    node.server.reset();
    node.until("it registers again", || node.server.registrations() == 2).await;
    node.until("it is ready", || node.status().is_ready()).await;
    assert_eq!(node.runtime.containers(), [container]);
    // And what it says under the new registration is heard.
    node.runtime.kill_task(task, 1);
    node.until("it is told", || node.server.said(task).unwrap().attempt.unwrap().0 == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_as_another_removes_what_it_ran_before() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    node.runtime.set_reachable(false);
    node.server.remove_node();
    node.until("it registers again", || node.server.registrations() == 2).await;
    node.pass(Duration::from_secs(30)).await;
    assert_eq!(node.runtime.of_task(task).len(), 1, "the runtime is away");
    node.crash().await;
    node.start();
    node.runtime.set_reachable(true);
    node.until("nothing is left", || node.runtime.of_task(task).is_empty()).await;
    let other = node.runs(|_| ()).await;
    assert_eq!(node.running(other), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_node_stops_its_containers_and_comes_back_no_more() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    node.server.mood(Mood::Revoked);
    node.until("it is stopped", || node.running(task) == 0).await;
    assert!(node.status().revoked);
    assert_eq!(node.runtime.of_task(task).len(), 1, "it is stopped, not removed");
    let starts = node.runtime.calls(Call::Start);
    node.server.mood(Mood::Away);
    node.crash().await;
    node.start();
    node.pass(Duration::from_secs(120)).await;
    assert_eq!((node.running(task), node.runtime.calls(Call::Start)), (0, starts));
}

#[tokio::test(start_paused = true)]
async fn while_another_agent_is_active_it_waits_and_touches_nothing() {
    let mut node = Node::new();
    node.server.mood(Mood::OtherAgentActive);
    node.start();
    node.pass(Duration::from_secs(60)).await;
    assert!(!node.status().registered);
    node.server.mood(Mood::Fine);
    let took = node.until("it is let in", || node.status().is_ready()).await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_heartbeat_answers_lock_no_one_out() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    node.server.lose_answers(true);
    node.pass(Duration::from_secs(120)).await;
    assert!(!node.status().is_ready(), "readiness is that the last heartbeat was accepted");
    node.server.lose_answers(false);
    node.until("it is ready", || node.status().is_ready()).await;
    node.runtime.kill_task(task, 1);
    node.until("it is told", || node.server.said(task).unwrap().attempt.unwrap().0 == 2).await;
    assert_eq!(node.server.registrations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_agent_says_its_last_reports_and_goodbye_and_leaves_containers_running() {
    let mut node = Node::started();
    let task = node.runs(|_| ()).await;
    node.stop().await;
    let beats = node.server.heartbeats();
    assert!(beats.last().unwrap().shutdown);
    assert!(beats[..beats.len() - 1].iter().all(|beat| !beat.shutdown));
    assert_eq!(node.running(task), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_agent_does_not_wait_for_a_server_that_is_away() {
    let mut node = Node::started();
    node.runs(|_| ()).await;
    node.server.mood(Mood::Away);
    let begun = tokio::time::Instant::now();
    node.stop().await;
    assert!(begun.elapsed() <= Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_node_says_what_it_is_and_tells_of_another_engine() {
    let mut node = Node::new();
    node.start();
    node.until("it is registered", || node.server.registrations() == 1).await;
    let facts = node.server.last_registration().claim.facts;
    assert_eq!(facts.os.as_deref(), Some("linux"));
    assert_eq!((facts.engine.as_deref(), facts.engine_version.as_deref()), (Some("fake"), Some("1")));
    assert!(facts.arch.is_some());
    let told = || node.server.heartbeats().iter().filter_map(|beat| beat.facts.clone()).collect::<Vec<_>>();
    node.until("heartbeats come", || node.server.heartbeats().len() >= 4).await;
    assert_eq!(told(), std::slice::from_ref(&facts), "said once, not with every heartbeat");
}
