use orch_core::identity::Role;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_service_is_created_read_scaled_and_deleted() {
    let world = World::start().await;
    let id = world.create("web").await;
    let read = world.get(&format!("/v1/services/{id}")).await.expect(200);
    assert_eq!(
        (read["service"]["status"].as_str(), read["service"]["deployment_version"].as_u64()),
        (Some("active"), Some(1))
    );
    let twice = world.post("/v1/services", &json!({"spec": {"name": "web", "image": "web:1"}})).await;
    assert_eq!((twice.status.as_u16(), twice.code().as_str()), (409, "conflict"));
    let scaled = world.post(&format!("/v1/services/{id}/scale"), &json!({"replicas": 3})).await.expect(200);
    assert_eq!(scaled["service"]["spec"]["replicas"], 3);
    for _ in 0..2 {
        let admin = world.token(Role::Admin);
        world.send("DELETE", &format!("/v1/services/{id}"), Some(&admin), &[], "").await.expect(204);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_service_of_another_namespace_is_as_if_it_were_not() {
    let world = World::start().await;
    let id = world.create("web").await;
    world.post("/v1/namespaces", &json!({"name": "team-a"})).await.expect(201);
    let hidden = world.get(&format!("/v1/services/{id}?namespace=team-a")).await;
    assert_eq!((hidden.status.as_u16(), hidden.code().as_str()), (404, "not_found"));
    assert_eq!(world.get("/v1/services?namespace=team-a").await.expect(200)["services"], json!([]));
    world.stop().await;
}

#[tokio::test]
async fn apply_says_what_it_would_do_and_holds_to_the_revision_that_was_seen() {
    let world = World::start().await;
    let body = json!({"spec": {"name": "web", "image": "web:1", "replicas": 1}});
    let dry = world.post("/v1/apply?dry_run=true", &body).await.expect(200);
    assert_eq!((dry["created"].as_bool(), dry["dry_run"].as_bool()), (Some(true), Some(true)));
    assert_eq!(world.control.image().services().count(), 0);
    let made = world.post("/v1/apply", &body).await.expect(200);
    let revision = made["service"]["revision"].as_u64().unwrap();
    let other = json!({"spec": {"name": "web", "image": "web:2", "replicas": 1}}).to_string();
    let admin = world.token(Role::Admin);
    let stale = (revision + 1000).to_string();
    let refused = world.send("POST", "/v1/apply", Some(&admin), &[("if-match", &stale)], other).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "conflict"));
    assert_eq!(refused.json()["error"]["details"]["revision"], revision);
    world.stop().await;
}

#[tokio::test]
async fn a_repeated_request_with_its_idempotency_key_makes_one_service() {
    let world = World::start().await;
    let admin = world.token(Role::Admin);
    let body = json!({"spec": {"name": "web", "image": "web:1"}}).to_string();
    let key = [("idempotency-key", "once")];
    let first = world.send("POST", "/v1/services", Some(&admin), &key, body.clone()).await.expect(201);
    let again = world.send("POST", "/v1/services", Some(&admin), &key, body).await.expect(201);
    assert_eq!(first["service"]["id"], again["service"]["id"]);
    let other = json!({"spec": {"name": "api", "image": "web:1"}}).to_string();
    let reused = world.send("POST", "/v1/services", Some(&admin), &key, other).await;
    assert_eq!((reused.status.as_u16(), reused.code().as_str()), (409, "conflict"));
    world.stop().await;
}

#[tokio::test]
async fn a_plan_says_what_would_happen_and_writes_nothing() {
    let world = World::start().await;
    world.register("node-a").await;
    let spec = |image: &str, replicas: u32, cpu: &str| {
        json!({"spec": {"name": "web", "image": image, "replicas": replicas,
            "resource_requirements": {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "64Mi"}}}})
    };
    let plan = world.post("/v1/plan", &spec("web:1", 3, "1500m")).await.expect(200);
    assert_eq!((plan["action"].as_str(), plan["ending"].as_str()), (Some("create"), Some("waits")));
    assert_eq!(plan["steps"][0]["action"], "start");
    assert_eq!(plan["steps"][0]["node"], "node-a");
    assert_eq!(plan["unplaced"][0]["slot"], 3);
    assert_eq!(
        plan["unplaced"][0]["nodes"],
        json!([{"node": "node-a", "reason": "lacks cpu (needs 1500m, has 1000m)"}])
    );
    assert_eq!(world.control.image().services().count(), 0);

    let made = world.post("/v1/apply", &spec("web:1", 2, "100m")).await.expect(200);
    let revision = world.control.image().revision();
    let same = world.post("/v1/plan", &spec("web:1", 2, "100m")).await.expect(200);
    assert_eq!((same["action"].as_str(), same["changes"].as_array().map(Vec::len)), (Some("none"), Some(0)));
    let change = world.post("/v1/plan", &spec("web:2", 2, "100m")).await.expect(200);
    assert_eq!(
        change["changes"],
        json!([{"field": "template.image", "kind": "changed", "before": "\"web:1\"", "after": "\"web:2\""}])
    );
    assert_eq!((change["from_version"].as_u64(), change["rollout"].as_bool()), (Some(1), Some(true)));
    assert!(world.control.image().revision() >= revision);
    assert_eq!(world.control.image().services().next().unwrap().version.0, 1);

    let admin = world.token(Role::Admin);
    let stale = (made["service"]["revision"].as_u64().unwrap() + 1000).to_string();
    let body = spec("web:2", 2, "100m").to_string();
    let refused = world.send("POST", "/v1/plan", Some(&admin), &[("if-match", &stale)], body).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "conflict"));
    let denied = json!({"spec": {"name": "web", "image": "web:2",
        "security_context": {"privileged": true, "host_network": true, "host_pid": true}}});
    let denied = world.post("/v1/plan", &denied).await;
    assert_eq!(denied.status.as_u16(), 400);
    assert_eq!(
        denied.json()["error"]["details"]["violations"].as_array().map(Vec::len),
        Some(3),
        "{}",
        denied.text
    );
    world.stop().await;
}

#[tokio::test]
async fn why_follows_from_what_is_held_and_does_not_cross_namespaces() {
    let world = World::start().await;
    let (node, _) = world.register("node-a").await;
    let big =
        json!({"requests": {"cpu": "9000m", "memory": "64Mi"}, "limits": {"cpu": "9000m", "memory": "64Mi"}});
    let body =
        json!({"spec": {"name": "web", "image": "web:1", "replicas": 1, "resource_requirements": big}});
    let made = world.post("/v1/services", &body).await.expect(201);
    let id = made["service"]["id"].as_str().unwrap().to_owned();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let why = loop {
        let why = world.get(&format!("/v1/services/{id}/why")).await.expect(200);
        if why["held"].as_array().is_some_and(|held| !held.is_empty()) {
            break why;
        }
        assert!(std::time::Instant::now() < end, "{why}");
        tokio::task::yield_now().await;
    };
    let lacks = "no node fits: 1 node: 1 lacks cpu (needs 9000m, has 4000m)";
    assert_eq!(why["summary"], format!("0 of 1 replicas of web serve; web.1: {lacks}"));
    assert_eq!((why["fine"].as_bool(), why["causes"].as_array().map(Vec::len)), (Some(false), Some(1)));
    let task = world.control.image().tasks().next().unwrap().id;
    let of_task = world.get(&format!("/v1/tasks/{task}/why")).await.expect(200);
    assert_eq!(of_task["summary"], format!("web.1 is pending: {lacks}"));
    let of_node = world.get(&format!("/v1/nodes/{node}/why")).await.expect(200);
    assert_eq!(of_node["fine"], true);
    world.post("/v1/namespaces", &json!({"name": "team-a"})).await.expect(201);
    for path in [format!("/v1/services/{id}/why"), format!("/v1/tasks/{task}/why")] {
        assert_eq!(world.get(&format!("{path}?namespace=team-a")).await.status.as_u16(), 404);
    }
    world.stop().await;
}
