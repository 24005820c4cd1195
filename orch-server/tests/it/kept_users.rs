//! Users that the cluster keeps: who is shut out is out at the next request, and API tokens are good as long as they should be.

use http_body_util::BodyExt as _;
use orch_core::identity::Role;
use serde_json::{Value, json};

use crate::logs::{Node, soon};
use crate::world::World;

async fn status(world: &World, token: &str) -> u16 {
    world.send("GET", "/v1/whoami", Some(token), &[], "").await.status.as_u16()
}

async fn post(world: &World, path: &str) -> Value {
    world.post(path, &json!({})).await.expect(200)
}

#[tokio::test]
async fn who_is_disabled_is_out_at_the_next_request_and_comes_back_by_new_tokens_only() {
    let world = World::start().await;
    let bob = world.token_of("bob", Role::Operator);
    assert_eq!(status(&world, &bob).await, 200, "nobody knows him, and his token is good");
    let disabled = post(&world, "/v1/users/bob/disable").await;
    assert_eq!(
        (&disabled["user"]["status"], &disabled["user"]["kind"]),
        (&json!("disabled"), &json!("person"))
    );
    let answer = world.send("GET", "/v1/whoami", Some(&bob), &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"));
    assert!(answer.text.contains("disabled"), "{}", answer.text);
    let write = json!({"spec": {"name": "web", "image": "web:1"}}).to_string();
    assert_eq!(world.send("POST", "/v1/services", Some(&bob), &[], write).await.status, 401);
    post(&world, "/v1/users/bob/enable").await;
    assert_eq!(status(&world, &world.newer_token_of("bob", Role::Viewer)).await, 200);
    assert_eq!(status(&world, &bob).await, 401);

    let before = world.token_of("carol", Role::Viewer);
    post(&world, "/v1/users/carol/revoke-tokens").await;
    assert_eq!(status(&world, &before).await, 401);
    assert_eq!(status(&world, &world.newer_token_of("carol", Role::Viewer)).await, 200);
    world.stop().await;
}

#[tokio::test]
async fn the_role_that_the_cluster_gave_counts_and_a_removed_user_is_a_stranger_with_dead_tokens() {
    let world = World::start().await;
    let body = json!({"name": "auth0|bob smith", "namespace_roles": {"default": "operator"}});
    world.post("/v1/users", &body).await.expect(201);
    let bob = world.token_of("auth0|bob smith", Role::Admin);
    let whoami = world.send("GET", "/v1/whoami", Some(&bob), &[], "").await.expect(200);
    assert_eq!((&whoami["role"], &whoami["cluster_role"]), (&json!("operator"), &Value::Null));
    let path = "/v1/users/auth0%7Cbob%20smith";
    let admin = world.token(Role::Admin);
    let set = world.send("PUT", &format!("{path}/role"), Some(&admin), &[], r#"{"role":"viewer"}"#).await;
    assert_eq!(set.expect(200)["user"]["role"], "viewer");
    let whoami = world.send("GET", "/v1/whoami", Some(&bob), &[], "").await.expect(200);
    assert_eq!(whoami["cluster_role"], "viewer");
    let users = world.get("/v1/users").await.expect(200);
    assert_eq!(users["users"][0]["name"], "auth0|bob smith");
    world.send("DELETE", path, Some(&admin), &[], "").await.expect(204);
    assert_eq!(world.get(path).await.status, 404);
    assert_eq!(status(&world, &bob).await, 401);
    let own = world.post("/v1/users/alice/disable", &json!({})).await;
    assert_eq!((own.status.as_u16(), own.code().as_str()), (409, "conflict"));
    let audit = world.get("/v1/audit?target_type=user").await.expect(200);
    let actions: Vec<_> =
        audit["audit_logs"].as_array().unwrap().iter().map(|record| &record["action"]).collect();
    assert_eq!(actions, ["user.remove", "user.set_role", "user.create"]);
    world.stop().await;
}

#[tokio::test]
async fn open_streams_end_with_the_user() {
    let world = World::start().await;
    let node = Node::start(&world);
    world.create("web").await;
    let (task, container) = soon(node.container(&world)).await;
    node.runtime.write_log(&container, "one");
    let paths = [
        "/v1/events?follow=true".to_owned(),
        format!("/v1/logs?task_id={task}&follow=true"),
        format!("/v1/logs?task_id={task}&follow=true&format=json"),
    ];
    let api_token = world.api_token("ci", Role::Operator).await;
    type End = (&'static str, &'static str);
    let ends: [End; 3] = [
        ("POST", "/v1/users/{}/disable"),
        ("POST", "/v1/users/{}/revoke-tokens"),
        ("DELETE", "/v1/users/ci/tokens/t"),
    ];
    for (number, (method, end)) in ends.into_iter().enumerate() {
        let name = format!("user-{number}");
        let token = match method {
            "DELETE" => api_token.clone(),
            _ => world.token_of(&name, Role::Viewer),
        };
        let mut open = Vec::new();
        for path in &paths {
            let answer = world.open(path, &token).await;
            assert_eq!(answer.status(), 200, "{path}");
            open.push(tokio::spawn(answer.into_body().collect()));
        }
        let admin = world.token(Role::Admin);
        let ended = world.send(method, &end.replace("{}", &name), Some(&admin), &[], "").await;
        assert!(ended.status.is_success(), "{}", ended.text);
        for stream in open {
            soon(stream).await.unwrap().unwrap();
        }
        assert_eq!(status(&world, &token).await, 401);
    }
    node.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn an_api_token_is_shown_once_good_until_it_ends_and_its_use_is_kept_by_the_hour() {
    let world = World::start().await;
    let token = world.api_token("ci", Role::Operator).await;
    assert!(token.starts_with("orchu_"), "{token}");
    let whoami = world.send("GET", "/v1/whoami", Some(&token), &[], "").await.expect(200);
    assert_eq!((&whoami["subject"], &whoami["cluster_role"]), (&json!("ci"), &json!("operator")));
    assert_eq!(world.send("GET", "/v1/users", Some(&token), &[], "").await.status, 403);

    let listed = soon(async {
        loop {
            let listed = world.get("/v1/users/ci/tokens").await.expect(200);
            if !listed["api_tokens"][0]["last_used_hour"].is_null() {
                break listed;
            }
            tokio::task::yield_now().await;
        }
    });
    let listed = listed.await;
    assert!(!listed.to_string().contains("orchu_"), "{listed}");
    let hour = listed["api_tokens"][0]["last_used_hour"].as_str().unwrap().to_owned();
    assert!(hour.ends_with(":00:00Z"), "{hour}");
    let revision = world.control.image().revision();
    for _ in 0..20 {
        assert_eq!(status(&world, &token).await, 200);
    }
    assert_eq!(world.control.image().revision(), revision, "no write a request");

    let changed = format!("{}{}", &token[..token.len() - 1], if token.ends_with('0') { '1' } else { '0' });
    for wrong in [changed.as_str(), "orchu_", "orchu_AAAA"] {
        let answer = world.send("GET", "/v1/whoami", Some(wrong), &[], "").await;
        assert_eq!(answer.status, 401);
        assert!(answer.text.contains("the token is not accepted"), "{}", answer.text);
    }
    let admin = world.token(Role::Admin);
    world.send("DELETE", "/v1/users/ci/tokens/t", Some(&admin), &[], "").await.expect(204);
    assert_eq!(status(&world, &token).await, 401);

    let short =
        world.post("/v1/users/ci/tokens", &json!({"name": "short", "ttl_seconds": 1})).await.expect(201);
    let short = short["token"].as_str().unwrap();
    soon(async {
        while status(&world, short).await != 401 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = world.send("GET", "/v1/whoami", Some(short), &[], "").await;
    assert!(answer.text.contains("expired"), "{}", answer.text);
    world.stop().await;
}

#[tokio::test]
async fn a_repeated_creation_makes_another_token_and_voids_the_first() {
    let world = World::start().await;
    world.api_token("ci", Role::Viewer).await;
    let (admin, key) = (world.token(Role::Admin), [("idempotency-key", "k-1")]);
    let create = || async {
        let body = json!({"name": "deploy"}).to_string();
        let made = world.send("POST", "/v1/users/ci/tokens", Some(&admin), &key, body).await.expect(201);
        made["token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (create().await, create().await);
    assert_eq!((status(&world, &first).await, status(&world, &second).await), (401, 200));
    let taken = world.post("/v1/users/ci/tokens", &json!({"name": "deploy"})).await;
    assert_eq!((taken.status.as_u16(), taken.code().as_str()), (409, "conflict"));
    world.stop().await;
}

#[tokio::test]
async fn what_one_may_is_answered_by_the_authorizer_itself() {
    let world = World::start().await;
    for (role, verb, resource, allowed) in [
        (Role::Viewer, "read", "services", true),
        (Role::Viewer, "create", "services", false),
        (Role::Operator, "scale", "service", true),
        (Role::Operator, "drain", "nodes", false),
        (Role::Admin, "drain", "nodes", true),
    ] {
        let path = format!("/v1/access?verb={verb}&resource={resource}");
        let answer = world.send("GET", &path, Some(&world.token(role)), &[], "").await.expect(200);
        assert_eq!(answer["allowed"], allowed, "{role} {path}");
        assert_eq!(answer["reason"].is_null(), allowed, "{answer}");
    }
    world
        .post("/v1/users", &json!({"name": "bob", "namespace_roles": {"team-a": "operator"}}))
        .await
        .expect(201);
    let bob = world.token_of("bob", Role::Admin);
    for (namespace, allowed) in [("team-a", true), ("default", false)] {
        let path = "/v1/access?verb=deploy&resource=services";
        let answer = world.send("GET", path, Some(&bob), &[("x-orch-namespace", namespace)], "").await;
        assert_eq!(answer.expect(200)["allowed"], allowed, "{namespace}");
    }
    let wrong = world.get("/v1/access?verb=fly&resource=nodes").await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("cordon"), "{}", wrong.text);
    world.stop().await;
}
