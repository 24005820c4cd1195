//! The server answers as its OpenAPI document says, to right and to wrong requests.

use orch_core::api::endpoint::{Pace, Row, TABLE};
use orch_core::identity::Role;
use serde_json::{Value, json};

use crate::world::{Answer, World};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// The answer has a documented status, and is in the envelope where it is no success.
#[track_caller]
fn check(document: &Value, row: &Row, answer: &Answer) {
    let operation = &document["paths"][row.path][row.method.as_str().to_ascii_lowercase()];
    let status = answer.status.as_u16().to_string();
    assert!(!operation["responses"][&status].is_null(), "{}: {status} {}", row.name, answer.text);
    if answer.status.as_u16() >= 400 {
        let error = &answer.json()["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{}: {}", row.name, answer.text);
        assert_eq!(answer.headers["content-type"], "application/json", "{}", row.name);
    }
}

#[tokio::test]
async fn the_document_is_served_to_users_and_names_its_version() {
    let world = World::start().await;
    let viewer = world.token(Role::Viewer);
    let document = world.send("GET", "/v1/openapi.json", Some(&viewer), &[], "").await;
    assert_eq!(document.headers["content-type"], "application/json");
    let document = document.expect(200);
    assert_eq!(
        (document["openapi"].as_str(), document["info"]["version"].as_str()),
        (Some("3.1.0"), Some("v1"))
    );
    let operations =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len());
    assert_eq!(operations.sum::<usize>(), TABLE.len());
    world.stop().await;
}

#[tokio::test]
async fn every_answer_has_a_status_that_the_document_names() {
    let world = World::start().await;
    let (node, credential) = world.register("node-a").await;
    let service = world.create("web").await;
    let document = world.get("/v1/openapi.json").await.expect(200);
    let tokens = [None, Some("nonsense".to_owned()), Some(credential)];
    let tokens = tokens.into_iter().chain(Role::ALL.map(|role| Some(world.token(role))));
    let bodies = [
        "",
        "{}",
        "[]",
        "{\"x\":1}",
        "\u{0}",
        "{\"spec\":{\"name\":\"a\",\"image\":\"b\"}}",
        "{\"name\":\"\"}",
    ];
    for token in tokens {
        for row in TABLE.iter().filter(|row| row.pace != Pace::Stream) {
            for id in [NOBODY, "nonsense", "%FF", service.as_str(), node.as_str()] {
                let path = row.path_with(&["{}"]).replace("%7B%7D", id);
                for query in [
                    "",
                    "?node_id=x&limit=-1&force=maybe&namespace=A_&since=now&wait=x",
                    "?namespace=none&after=x",
                ] {
                    let answer = world
                        .send(row.method.as_str(), &format!("{path}{query}"), token.as_deref(), &[], "{}")
                        .await;
                    check(&document, row, &answer);
                    if !row.path.contains('{') && query.is_empty() {
                        for body in bodies {
                            let method = row.method.as_str();
                            let answer = world.send(method, &path, token.as_deref(), &[], body).await;
                            check(&document, row, &answer);
                        }
                    }
                }
                if !row.path.contains('{') {
                    break;
                }
            }
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn headers_that_are_wrong_are_answered_with_their_names() {
    let world = World::start().await;
    let (admin, spec) =
        (world.token(Role::Admin), json!({"spec": {"name": "web", "image": "web:1"}}).to_string());
    for (name, value) in [("If-Match", "x"), ("Idempotency-Key", "  "), ("X-Orch-Namespace", "A_")] {
        let answer = world.send("POST", "/v1/apply", Some(&admin), &[(name, value)], spec.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"), "{name}");
        let field = answer.json()["error"]["details"]["field"].as_str().unwrap().to_owned();
        assert!(name.to_ascii_lowercase().ends_with(&field.to_ascii_lowercase()), "{name}: {field}");
    }
    assert_eq!(world.control.image().services().count(), 0);
    world.stop().await;
}
