//! What is wrong is answered in the envelope, with its field, and changes nothing.

use orch_core::identity::Role;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_wrong_body_is_answered_with_the_path_of_its_field() {
    let world = World::start().await;
    for (body, field) in [
        (r#"{"spec":{"name":"web","image":"web","colour":1}}"#, "spec.colour"),
        (r#"{"spec":{"name":"Web","image":"web"}}"#, "spec.name"),
        (
            r#"{"spec":{"name":"web","image":"web","ports":[{"container_port":"x"}]}}"#,
            "spec.ports[0].container_port",
        ),
        (r#"{"spec":{"name":"web","image":"web","autoscaling":{"enabled":true}}}"#, "spec.autoscaling"),
        (r#"{"spec":{"name":"web","image":"web"}} {}"#, "body"),
        ("", "body"),
    ] {
        let token = world.token(Role::Operator);
        let answer = world.send("POST", "/v1/services", Some(&token), &[], body).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"), "{body}");
        assert_eq!(json["error"]["details"]["field"], field, "{body}: {json}");
    }
    assert_eq!(world.control.image().services().count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn too_large_a_body_is_413_and_too_long_a_name_never_comes_back_raw() {
    let world = World::start().await;
    let token = world.token(Role::Operator);
    let large = vec![b' '; (1 << 20) + 1];
    let answer = world.send("POST", "/v1/services", Some(&token), &[], large).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "invalid_argument"));
    world.stop().await;
}

#[tokio::test]
async fn paths_methods_ids_and_namespaces_that_are_none_are_answered_in_the_envelope() {
    let world = World::start().await;
    let missing = world.get("/v1/nothing").await;
    assert_eq!((missing.status.as_u16(), missing.code().as_str()), (404, "not_found"));
    let method = world.post("/v1/tasks", &json!({})).await;
    assert_eq!((method.status.as_u16(), method.code().as_str()), (405, "method_not_allowed"));
    assert!(method.headers["allow"].to_str().unwrap().contains("GET"));
    let id = world.get("/v1/services/nonsense").await;
    assert_eq!((id.status.as_u16(), id.code().as_str()), (400, "invalid_argument"));
    let unknown = world.get("/v1/services/00000000-0000-4000-8000-000000000000").await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "not_found"));
    let namespace = world.get("/v1/services?namespace=a_b").await;
    assert_eq!(namespace.json()["error"]["details"]["field"], "namespace");
    world.stop().await;
}

#[tokio::test]
async fn every_answer_bears_the_requests_id_and_every_v1_answer_the_apis_version() {
    let world = World::start().await;
    let answer = world.send("GET", "/v1/services", None, &[("x-request-id", " abc ")], "").await;
    assert_eq!(answer.headers["x-request-id"], "abc");
    assert_eq!(answer.headers["api-version"], "v1");
    assert_eq!(answer.json()["error"]["request_id"], "abc");
    let drawn = world.send("GET", "/healthz", None, &[], "").await;
    assert_eq!(drawn.headers["x-request-id"].len(), 36);
    world.stop().await;
}
