//! Nodes come in by one-time tokens, over HTTP: who may make them, what they are good for, and what strangers learn.

use std::time::Duration;

use futures_util::future::join_all;
use orch_agent::{NodeKey, NodeSigner as _};
use orch_client::{Client, HttpAgentApi};
use orch_core::agent::{AgentApi as _, AgentApiError, RegisterRequest, Registered};
use orch_core::identity::{KeyFingerprint, KeyProof, Role};
use orch_core::secret::Secret;
use orch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::world::{Answer, World, claim};

const TOKENS: &str = "/v1/enrollment-tokens";

/// Makes a token; answers it and what is kept of it.
async fn make(world: &World, request: &Value) -> (String, Value) {
    let made = world.post(TOKENS, request).await.expect(201);
    (made["token"].as_str().unwrap().to_owned(), made["enrollment_token"].clone())
}

/// Registers with a node key, over the wire as an agent does.
async fn register(
    world: &World,
    name: &str,
    key: &NodeKey,
    token: &str,
) -> Result<Registered, AgentApiError> {
    let api = HttpAgentApi::new(&Client::builder().server(world.base())).unwrap();
    let claim = claim(name);
    let challenge = api.challenge(&claim.name).await?;
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, None));
    let key = KeyProof { key: key.public_key(), challenge, signature };
    api.register(RegisterRequest { claim, token: Some(Secret::new(token.to_owned())), key: Some(key) }).await
}

fn key() -> NodeKey {
    NodeKey::generate().unwrap()
}

/// The token as it is listed now.
async fn listed(world: &World, id: &Value) -> Value {
    let all = world.get(TOKENS).await.expect(200);
    let all = all["enrollment_tokens"].as_array().unwrap();
    all.iter().find(|token| token["id"] == *id).expect("it is listed").clone()
}

#[tokio::test]
async fn a_token_is_told_once_lets_its_node_in_and_who_made_it_is_known_ever_after() {
    let world = World::start().await;
    let request = json!({"node_name": "node-a", "labels": {"zone": "a"}, "ttl_seconds": 600});
    let (token, made) = make(&world, &request).await;
    assert!(token.starts_with("orche_"), "its kind can be told");
    assert_eq!(
        (&made["status"], &made["uses"], &made["made_by"]),
        (&json!("live"), &json!(1), &json!("alice"))
    );
    let everything = world.get(TOKENS).await.text + &world.get("/v1/audit").await.text;
    assert!(!everything.contains(&token) && everything.contains("enrollment.token.create"));

    let key = key();
    register(&world, "node-a", &key, &token).await.unwrap();
    let node = &world.get("/v1/nodes").await.expect(200)["nodes"][0];
    let enrollment = &node["enrollment"];
    assert_eq!((&enrollment["method"], &enrollment["by"]), (&json!("one_time_token"), &json!("alice")));
    assert_eq!(enrollment["token_id"], made["id"]);
    assert_eq!((&node["labels"]["zone"], &node["pinned_labels"]["zone"]), (&json!("a"), &json!("a")));
    assert_eq!(node["key_fingerprint"], json!(KeyFingerprint::of(&key.public_key()).to_string()));
    let spent = listed(&world, &made["id"]).await;
    assert_eq!((&spent["status"], &spent["admitted"][0]["name"]), (&json!("spent"), &json!("node-a")));

    let (_, other) = make(&world, &json!({})).await;
    let revoke = format!("{TOKENS}/{}/revoke", other["id"].as_str().unwrap());
    for _ in 0..2 {
        let revoked = world.post(&revoke, &json!({})).await.expect(200);
        assert_eq!(revoked["enrollment_token"]["status"], "revoked");
    }
    world.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_token_that_is_asked_for_is_told_with_its_field() {
    let world = World::start().await;
    for (request, field) in [
        (json!({"uses": 0}), "uses"),
        (json!({"ttl_seconds": 0}), "ttl_seconds"),
        (json!({"ttl_seconds": 9_999_999_999_u64}), "ttl_seconds"),
        (json!({"node_name": "a b"}), "node_name"),
        (json!({"labels": {"node.arch": "x"}}), "labels.node.arch"),
        (json!({"token": "of my own"}), "token"),
    ] {
        let refused = world.post(TOKENS, &request).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "invalid_argument"),
            "{request}"
        );
        assert_eq!(refused.json()["error"]["details"]["field"], field, "{}", refused.text);
    }
    let operator = world.token(Role::Operator);
    let refused = world.send("POST", TOKENS, Some(&operator), &[], "{}").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "forbidden"));
    world.stop().await;
}

/// M13: exactly one wins, however they race.
#[tokio::test]
async fn one_time_token_used_twice_at_once() {
    let world = World::start().await;
    let (token, made) = make(&world, &json!({})).await;
    let keys: Vec<_> = (0..8).map(|nth| (format!("node-{nth}"), key())).collect();
    let tries = keys.iter().map(|(name, key)| register(&world, name, key, &token));
    let answers = join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert!(
        answers
            .iter()
            .flat_map(|answer| answer.as_ref().err())
            .all(|e| matches!(e, AgentApiError::Unauthorized))
    );
    assert_eq!(world.control.image().nodes().count(), 1);
    assert_eq!(listed(&world, &made["id"]).await["admitted"].as_array().unwrap().len(), 1);
    world.stop().await;
}

/// What is shown, without what differs in every answer.
fn shape(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    body["error"].as_object_mut().unwrap().remove("request_id");
    (answer.status.as_u16(), body)
}

#[tokio::test]
async fn every_token_that_lets_nobody_in_is_one_answer_and_the_reason_is_told_to_admins_once() {
    let world = World::start().await;
    let (spent, used) = make(&world, &json!({})).await;
    register(&world, "node-a", &key(), &spent).await.unwrap();
    let (revoked, taken) = make(&world, &json!({})).await;
    world.post(&format!("{TOKENS}/{}/revoke", taken["id"].as_str().unwrap()), &json!({})).await.expect(200);
    let (named, pinned) = make(&world, &json!({"node_name": "another"})).await;
    let (short, expired) = make(&world, &json!({"ttl_seconds": 1})).await;
    let over = Timestamp::parse_rfc3339(expired["expires_at"].as_str().unwrap()).unwrap();
    while world.control.now() < over {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stranger = world.send("POST", "/v1/agent/register", Some("a stranger's"), &[], body("node-b")).await;
    let tokens = [(&spent, &used), (&revoked, &taken), (&named, &pinned), (&short, &expired)];
    for (token, _) in tokens {
        for _ in 0..3 {
            let answer = keyed(&world, "node-b", &key(), token).await;
            assert_eq!(shape(&answer), shape(&stranger));
            assert_eq!(answer.status, 401);
        }
    }
    let events = world.get("/v1/events?type=enrollment.token.refused").await.expect(200);
    let audit = world.get("/v1/audit?action=enrollment.token.refuse").await.expect(200);
    let (events, audit) = (events["events"].as_array().unwrap(), audit["audit_logs"].as_array().unwrap());
    assert_eq!((events.len(), audit.len()), (4, 4), "{events:#?} {audit:#?}");
    for (_, kept) in tokens {
        let of_it = |record: &&Value| record["target_id"] == kept["id"] && record["outcome"] == "failure";
        assert_eq!(audit.iter().filter(of_it).count(), 1, "{kept}");
    }
    world.stop().await;
}

fn body(name: &str) -> String {
    json!({"node_name": name, "advertise_address": "a", "agent_version": "0.4.0"}).to_string()
}

/// The same registration as a plain request, to see the answer as it is.
async fn keyed(world: &World, name: &str, key: &NodeKey, token: &str) -> Answer {
    let challenge =
        world.send("POST", "/v1/agent/challenge", None, &[], json!({"node_name": name}).to_string());
    let challenge = serde_json::from_value(challenge.await.expect(200)).unwrap();
    let claim = claim(name);
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, None));
    let proof = KeyProof { key: key.public_key(), challenge, signature };
    let request = orch_core::api::agent::RegisterRequest::of(&claim, Some(proof));
    world.send("POST", "/v1/agent/register", Some(token), &[], serde_json::to_string(&request).unwrap()).await
}

#[tokio::test]
async fn strangers_cost_no_durable_row_each() {
    let world = World::start().await;
    let (token, _) = make(&world, &json!({})).await;
    register(&world, "node-a", &key(), &token).await.unwrap();
    let mut forged = token.clone();
    forged.replace_range(10..11, if forged.as_bytes()[10] == b'A' { "B" } else { "A" });
    let before = world.control.image().revision();
    for nth in 0..20 {
        let name = format!("stranger-{nth}");
        for shown in ["a guess", "orche_a-guess", &forged, "orchn_a-guess"] {
            let answer = keyed(&world, &name, &key(), shown).await;
            assert_eq!(answer.status, 401, "{}", answer.text);
            // Nor does a key of one's own under somebody's name.
            assert_eq!(keyed(&world, "node-a", &key(), shown).await.status, 401);
        }
    }
    assert_eq!(world.control.image().revision(), before, "nothing was written");
    for nth in 0..20 {
        assert_eq!(keyed(&world, &format!("thief-{nth}"), &key(), &token).await.status, 401);
    }
    assert_eq!(world.control.image().revision(), before.next(), "a leaked token is told once");
    world.stop().await;
}

/// The token of an answer that got lost is void: nobody can be told it again.
#[tokio::test]
async fn a_creation_that_is_repeated_voids_the_first_token() {
    let world = World::start().await;
    let admin = world.token(Role::Admin);
    let ask = async |body: &'static str| {
        world.send("POST", TOKENS, Some(&admin), &[("idempotency-key", "k-1")], body).await
    };
    let text = |made: &Value| made["token"].as_str().unwrap().to_owned();
    let (first, second, third) =
        (ask("{}").await.expect(201), ask("{}").await.expect(201), ask("{}").await.expect(201));
    for void in [&first, &second] {
        assert_eq!(listed(&world, &void["enrollment_token"]["id"]).await["status"], "revoked");
        let refused = register(&world, "node-a", &key(), &text(void)).await;
        assert!(matches!(refused, Err(AgentApiError::Unauthorized)), "{refused:?}");
    }
    assert_eq!(ask(r#"{"uses":2}"#).await.code(), "conflict", "another request under the same key");
    register(&world, "node-a", &key(), &text(&third)).await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn an_approved_key_comes_in_by_no_token_and_another_one_does_not() {
    let world = World::start().await;
    let (token, _) = make(&world, &json!({})).await;
    let (old, new) = (key(), key());
    let node = register(&world, "node-a", &old, &token).await.unwrap().node;
    let approve = format!("/v1/nodes/{node}/approve-key");
    let wrong = world.post(&approve, &json!({"fingerprint": "sha256:12"})).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "invalid_argument"));
    let fingerprint = KeyFingerprint::of(&new.public_key()).to_string();
    let approved = world.post(&approve, &json!({"fingerprint": fingerprint})).await.expect(200);
    assert_eq!(approved["node"]["approved_key"]["fingerprint"], json!(fingerprint));
    // Whoever is active as the node is not thrown out: it is reset, or stops, before.
    world.post(&format!("/v1/nodes/{node}/reset"), &json!({})).await.expect(200);
    assert!(register(&world, "node-a", &key(), "").await.is_err());
    register(&world, "node-a", &new, "").await.unwrap();
    assert!(register(&world, "node-a", &old, "").await.is_err());
    let now = &world.get(&format!("/v1/nodes/{node}")).await.expect(200)["node"];
    assert_eq!(
        (&now["key_fingerprint"], &now["enrollment"]["method"]),
        (&json!(fingerprint), &json!("approved_key"))
    );
    assert_eq!(now.get("approved_key"), None);
    world.stop().await;
}
