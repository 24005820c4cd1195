//! What is wrong is answered in the envelope, with its field, and changes nothing.
//!
//! | what is wrong | test |
//! | --- | --- |
//! | field unknown, wrong, missing; no JSON | [`a_wrong_body_is_answered_with_the_path_of_its_field`] |
//! | number or null where a string is due; a key twice; not UTF-8; nested without end | the same |
//! | each rule of a spec | `orch-core`, `api::spec::parse::tests` and `service::validation` |
//! | body too large | [`too_large_a_body_is_413_and_too_long_a_name_never_comes_back_raw`] |
//! | content type | [`the_content_type_is_not_looked_at_and_what_is_no_json_is_refused_whatever_it_says`] |
//! | unknown route, method, id, namespace | [`paths_methods_ids_and_namespaces_that_are_none_are_answered_in_the_envelope`] |
//! | headers | `openapi::headers_that_are_wrong_are_answered_with_their_names` |
//! | every row with wrong queries, ids, bodies | `openapi::every_answer_has_a_status_that_the_document_names` |
//! | tokens of users | [`every_fault_of_a_token_is_told_without_a_word_of_it`]; claim by claim `orch-auth`, `jwt` and `attacks` |
//! | credentials of nodes | [`each_end_of_a_credential_has_its_code`]; `orch-auth`, `rotation` and `token` |
//! | who may not | `authorization` |
//! | reports unknown, foreign, backwards, late | [`reports_that_cannot_be_are_refused_one_by_one`]; `orch-core`, `command::report_tasks` |
//! | the store in trouble | `store_faults` |

use std::time::Duration;

use orch_core::identity::Role;
use orch_core::secret::Secret;
use serde_json::json;

use crate::world::{Answer, JWT_SECRET, REGISTRATION_TOKEN, World};

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
        ("[1", "[0]"),
        (r#"{"spec":{"name":"web","image":"web","env":{"A":1.10}}}"#, "spec.env.A"),
        (r#"{"spec":{"name":"web","image":"web","env":{"A":null}}}"#, "spec.env.A"),
        (r#"{"spec":{"name":"web","image":"web","command":["a",true]}}"#, "spec.command[1]"),
        (r#"{"spec":{"name":"web","image":"web","replicas":-1}}"#, "spec.replicas"),
        (r#"{"spec":{"name":"web","image":"web","replicas":"3"}}"#, "spec.replicas"),
        (r#"{"spec":{"name":"web","image":"web","replicas":1e3}}"#, "spec.replicas"),
        (r#"{"spec":{"name":"web","image":"web","env":{"A":"1","A":"2"}}}"#, "spec.env.A"),
        (r#"{"spec":{"name":"web","image":"web","name":"other"}}"#, "spec"),
        (r#"{"spec":{"name":"web","image":"web","labels":{"x":"1","x":"1"}}}"#, "spec.labels.x"),
    ] {
        let token = world.token(Role::Operator);
        let answer = world.send("POST", "/v1/services", Some(&token), &[], body).await;
        let json = answer.json();
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"), "{body}");
        assert_eq!(json["error"]["details"]["field"], field, "{body}: {json}");
    }
    for (body, meant) in [
        (r#"{"spec":{"name":"web","image":"web","replcas":1}}"#, Some("replicas")),
        (r#"{"spec":{"name":"web","imgae":"web"}}"#, Some("image")),
        (r#"{"spec":{"name":"web","image":"web","ports":[{"containerPort":80}]}}"#, Some("container_port")),
        (r#"{"spec":{"name":"web","image":"web","rollout":{"maxSurge":2}}}"#, Some("max_surge")),
        (r#"{"sepc":{"name":"web","image":"web"}}"#, Some("spec")),
        (r#"{"spec":{"name":"web","image":"web","volumes":[]}}"#, None),
    ] {
        let token = world.token(Role::Operator);
        let answer = world.send("POST", "/v1/services", Some(&token), &[], body).await;
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 400, "{message}");
        assert!(message.contains("there is no such field"), "{body}: {message}");
        let hint = meant.map(|meant| format!("did you mean `{meant}`?"));
        assert_eq!(message.contains("did you mean"), hint.is_some(), "{body}: {message}");
        assert!(hint.is_none_or(|hint| message.contains(&hint)), "{body}: {message}");
    }
    let deep = format!(r#"{{"spec":{{"name":"web","image":"web","env":{}}}}}"#, "[".repeat(10_000));
    let not_utf_8 = b"{\"spec\":{\"name\":\"w\xff\",\"image\":\"web\"}}".to_vec();
    for body in [deep.into_bytes(), not_utf_8] {
        let answer = world.send("POST", "/v1/services", Some(&world.token(Role::Operator)), &[], body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"));
    }
    assert_eq!(world.control.image().services().count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn the_content_type_is_not_looked_at_and_what_is_no_json_is_refused_whatever_it_says() {
    let world = World::start().await;
    let token = world.token(Role::Operator);
    let types = ["text/plain", "application/x-www-form-urlencoded", "application/yaml", "nonsense"];
    for (nth, content_type) in types.into_iter().enumerate() {
        let header = [("content-type", content_type)];
        let json = format!(r#"{{"spec":{{"name":"web-{nth}","image":"web"}}}}"#);
        world.send("POST", "/v1/services", Some(&token), &header, json).await.expect(201);
    }
    for body in ["spec: {name: web, image: web}", "spec[name]=web", "<spec/>"] {
        let header = [("content-type", "application/json")];
        let answer = world.send("POST", "/v1/services", Some(&token), &header, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"), "{body}");
        assert_eq!(answer.json()["error"]["details"]["field"], "body", "{body}");
    }
    assert_eq!(world.control.image().services().count(), types.len());
    world.stop().await;
}

#[tokio::test]
async fn every_fault_of_a_token_is_told_without_a_word_of_it() {
    let world = World::start().await;
    let good = world.token(Role::Admin);
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    let none =
        base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, r#"{"alg":"none","typ":"JWT"}"#);
    let hour = Duration::from_secs(3600);
    let mint = |secret: &str, now| {
        let secret = Secret::new(secret.to_owned());
        let token = orch_auth::jwt::mint(&secret, &"alice".parse().unwrap(), Role::Admin, hour, now).unwrap();
        token.expose().clone()
    };
    let now = world.control.now();
    for (header, told) in [
        (
            format!("Bearer {}", mint("another secret, which is long enough too", now)),
            "signature is not valid",
        ),
        (format!("Bearer {}", mint(JWT_SECRET, now - hour * 2)), "the token expired 36"),
        (format!("Bearer {none}.{claims}."), "algorithm is not HS256"),
        (format!("Bearer {head}.{claims}."), "signature is not valid"),
        (format!("Bearer {head}.{claims}.AAAA"), "signature is not valid"),
        (format!("Bearer {good}x"), "signature is not valid"),
        (format!("Bearer {head}.{claims}"), "not of the form"),
        (format!("Bearer {}", "x".repeat(9_000)), "longer than 8 KiB"),
        ("Bearer ".to_owned(), "authentication is required"),
        (format!("Basic {good}"), "authentication is required"),
        (good.clone(), "authentication is required"),
    ] {
        let headers = [("authorization", header.as_str())];
        let answer = world.send("GET", "/v1/services", None, &headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"), "{header}");
        assert!(answer.text.contains(told), "{header}: {}", answer.text);
        assert!(!answer.text.contains(claims), "{}", answer.text);
    }
    world.send("GET", "/v1/services", Some(&good), &[], "").await.expect(200);
    world.stop().await;
}

#[tokio::test]
async fn each_end_of_a_credential_has_its_code() {
    let world = World::start().await;
    let (node, first) = world.register("node-a").await;
    let beat = async |credential: &str, sequence: u64| {
        let body = json!({"node_id": node, "agent_version": "0.4.0"}).to_string();
        let sequence = sequence.to_string();
        let headers = [("x-orch-sequence", sequence.as_str())];
        world.send("POST", "/v1/agent/heartbeat", Some(credential), &headers, body).await
    };
    let code = |answer: Answer| (answer.status.as_u16(), answer.code());
    let second = beat(&first, 1).await.expect(200)["credential"]["token"].as_str().unwrap().to_owned();
    let third = beat(&second, 2).await.expect(200)["credential"]["token"].as_str().unwrap().to_owned();
    assert_eq!(code(beat(&format!("{third}x"), 3).await), (401, "unauthorized".to_owned()));
    assert_eq!(code(beat(REGISTRATION_TOKEN, 3).await), (401, "unauthorized".to_owned()));
    let fourth = beat(&third, 4).await.expect(200)["credential"]["token"].as_str().unwrap().to_owned();
    // A message that came late is no alarm, a dead credential in a new one is: whoever has it is not the agent.
    assert_eq!(code(beat(&second, 2).await), (401, "credential_superseded".to_owned()));
    beat(&fourth, 5).await.expect(200);
    assert_eq!(code(beat(&first, 6).await), (401, "node_reset".to_owned()));
    assert_eq!(code(beat(&fourth, 7).await), (401, "node_reset".to_owned()));
    world.post(&format!("/v1/nodes/{node}/revoke"), &json!({})).await.expect(200);
    assert_eq!(code(beat(&fourth, 8).await), (401, "node_revoked".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn reports_that_cannot_be_are_refused_one_by_one() {
    let world = World::start().await;
    let (node, credential) = world.register("node-a").await;
    let (other, of_other) = world.register("node-b").await;
    world.create("web").await;
    let end = std::time::Instant::now() + Duration::from_secs(10);
    let (task, on) = loop {
        let image = world.control.image();
        if let Some((task, on)) =
            image.tasks().find_map(|task| Some((task.id.to_string(), task.node?.to_string())))
        {
            break (task, on);
        }
        assert!(std::time::Instant::now() < end, "the task has no node");
        tokio::task::yield_now().await;
    };
    let (owner, stranger) =
        if on == node { (&credential, (&other, &of_other)) } else { (&of_other, (&node, &credential)) };
    let report =
        async |node: &str, credential: &str, sequence: &str, task: &str, status: serde_json::Value| {
            let body = json!({"node_id": node, "reports": [{"task": task, "attempt": 1, "status": status}]})
                .to_string();
            world
                .send("POST", "/v1/agent/reports", Some(credential), &[("x-orch-sequence", sequence)], body)
                .await
        };
    let refused = |answer: Answer| {
        let verdict = answer.expect(200)["verdicts"][0].clone();
        assert_eq!(verdict["accepted"], false, "{verdict}");
        verdict["reason"].as_str().unwrap().to_owned()
    };
    let nobody = "00000000-0000-4000-8000-000000000000";
    let running = json!({"running": "unchecked"});
    let unknown = refused(report(&on, owner, "1", nobody, running.clone()).await);
    assert!(unknown.contains("no such task"), "{unknown}");
    let foreign = refused(report(stranger.0, stranger.1, "1", &task, running.clone()).await);
    assert!(!foreign.is_empty(), "{foreign}");
    assert_eq!(
        report(&on, owner, "2", &task, running.clone()).await.expect(200)["verdicts"][0]["accepted"],
        true
    );
    let backwards = refused(report(&on, owner, "3", &task, json!("pulling")).await);
    assert!(backwards.contains("running") && backwards.contains("pulling"), "{backwards}");
    // Late: the task is at its end by now.
    let stopped = report(&on, owner, "4", &task, json!({"stopped": null})).await.expect(200);
    assert_eq!(stopped["verdicts"][0]["accepted"], true, "{stopped}");
    let late = refused(report(&on, owner, "5", &task, running.clone()).await);
    assert!(late.contains("stopped"), "{late}");
    // In another's name, and in a form that is none.
    let answer = report(stranger.0, owner, "9", &task, running.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"));
    let answer = report(&on, owner, "9", &task, json!("flying")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "invalid_argument"),
        "{}",
        answer.text
    );
    let status = world.control.image().tasks().find(|row| row.id.to_string() == task).unwrap().status.clone();
    assert_eq!(status.as_str(), "stopped");
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
