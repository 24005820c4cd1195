use orch_core::identity::Role;
use serde_json::{Value, json};

use crate::world::World;

async fn steer(world: &World, path: &str, key: &str) -> crate::world::Answer {
    let operator = world.token(Role::Operator);
    world.send("POST", path, Some(&operator), &[("idempotency-key", key)], "").await
}

/// A service whose second version is being rolled out: it has no node to run on.
async fn rolling(world: &World) -> String {
    let id = world.create("web").await;
    let body = json!({"image": "web:2"});
    world.post(&format!("/v1/services/{id}/rollout"), &body).await.expect(202);
    id
}

fn text<'a>(answer: &'a Value, field: &str) -> &'a str {
    answer["deployment"][field].as_str().unwrap_or_else(|| panic!("{field} in {answer}"))
}

#[tokio::test]
async fn a_rollout_is_paused_continued_and_aborted_and_each_may_be_repeated() {
    let world = World::start().await;
    let id = rolling(&world).await;
    let pause = format!("/v1/services/{id}/rollout/pause?reason=errors%20on%20the%20canary");
    for _ in 0..2 {
        let paused = steer(&world, &pause, "one").await.expect(200);
        assert_eq!(text(&paused, "status"), "paused");
        assert_eq!(text(&paused, "reason"), "paused by alice: errors on the canary");
        assert!(!text(&paused, "paused_at").is_empty());
    }
    let again = steer(&world, &format!("/v1/services/{id}/rollout/continue"), "two").await.expect(200);
    assert_eq!(text(&again, "status"), "running");
    assert_eq!(again["deployment"].get("paused_at"), None);
    let mut rollbacks = Vec::new();
    for key in ["three", "three", "four"] {
        let back = steer(&world, &format!("/v1/services/{id}/rollout/abort"), key).await.expect(202);
        rollbacks.push(text(&back, "id").to_owned());
    }
    rollbacks.dedup();
    assert_eq!(rollbacks.len(), 1);
    let audit = world.get("/v1/audit").await.expect(200).to_string();
    for action in ["pause", "continue", "abort"] {
        assert_eq!(audit.matches(&format!("\"service.rollout.{action}\"")).count(), 1, "{action}: {audit}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_remark_that_is_none_and_a_service_without_rollout_are_told_so() {
    let world = World::start().await;
    let id = rolling(&world).await;
    let long = format!("/v1/services/{id}/rollout/pause?reason={}", "x".repeat(201));
    let refused = steer(&world, &long, "one").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_argument"));
    assert!(refused.text.contains("reason") && refused.text.contains("200"), "{}", refused.text);
    assert_eq!(world.control.image().deployments().filter(|d| d.paused_at.is_some()).count(), 0);
    let nobody = "/v1/services/00000000-0000-4000-8000-000000000000/rollout/pause";
    assert_eq!(steer(&world, nobody, "two").await.status.as_u16(), 404);
    world.stop().await;
}

#[tokio::test]
async fn a_restart_waits_for_no_rollout_and_a_history_says_who_made_each_version() {
    let world = World::start().await;
    let id = rolling(&world).await;
    let path = format!("/v1/services/{id}/restart");
    let busy = steer(&world, &path, "one").await;
    assert_eq!((busy.status.as_u16(), busy.code().as_str()), (409, "conflict"));
    world.post(&format!("/v1/services/{id}/scale"), &json!({"replicas": 0})).await.expect(200);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while world.control.image().active_deployment(id.parse().unwrap()).is_some() {
        assert!(std::time::Instant::now() < end, "without replicas it is done at once");
        tokio::task::yield_now().await;
    }
    let restart = steer(&world, &path, "two").await.expect(202);
    assert_eq!((text(&restart, "strategy"), text(&restart, "status")), ("restart", "pending"));
    let again = steer(&world, &path, "two").await.expect(202);
    assert_eq!(text(&again, "id"), text(&restart, "id"), "the key makes it one");
    let history = world.get(&format!("/v1/services/{id}/history")).await.expect(200);
    let newest = &history["versions"][0];
    assert_eq!((newest["version"].as_u64(), newest["by"].as_str()), (Some(2), Some("alice")));
    assert_eq!(newest["changes"][0]["field"], "template.image");
    assert_eq!(history["versions"].as_array().map(Vec::len), Some(2));
    world.stop().await;
}
