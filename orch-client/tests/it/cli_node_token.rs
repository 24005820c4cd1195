//! `orch node token …` and what else concerns how nodes come in.

use serde_json::{Value, json};

use super::cli::{orch, stderr, stdout};
use super::server::{Reply, Server, error};

const ID: &str = "7b0c5d4e-0000-4000-8000-0000000000aa";
const OTHER: &str = "7b0c5d4e-0000-4000-8000-0000000000ab";
const NODE: &str = "7b0c5d4e-0000-4000-8000-00000000000c";
const TIME: &str = "2026-01-02T03:04:05Z";
const SECRET: &str = "orche_what-is-told-once";

fn token(id: &str, status: &str) -> Value {
    json!({"id": id, "status": status, "node_name": "node-a", "labels": {"zone": "a"}, "uses": 1, "made_by": "ann\u{1b}[2J",
        "admitted": [{"node_id": NODE, "name": "node-a", "at": TIME}], "created_at": TIME, "expires_at": TIME})
}

fn node() -> Value {
    let amount = json!({"cpu": 4000, "memory": 8_589_934_592_u64});
    json!({"id": NODE, "hostname": "node-a", "advertise_address": "10.0.0.1", "capacity": amount, "allocatable": amount,
        "status": "ready", "last_heartbeat_at": TIME, "created_at": TIME, "updated_at": TIME,
        "key_fingerprint": format!("sha256:{}", "ab".repeat(32)), "pinned_labels": {"zone": "a"},
        "enrollment": {"method": "one_time_token", "token_id": ID, "by": "ann", "at": TIME}})
}

async fn server() -> Server {
    Server::start(|asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/v1/enrollment-tokens") => {
            Reply::Json(201, json!({"token": SECRET, "enrollment_token": token(ID, "live")}))
        }
        ("GET", "/v1/enrollment-tokens") => {
            Reply::Json(200, json!({"enrollment_tokens": [token(ID, "spent"), token(OTHER, "revoked")]}))
        }
        ("POST", path) if path == format!("/v1/enrollment-tokens/{ID}/revoke") => {
            Reply::Json(200, json!({"enrollment_token": token(ID, "revoked")}))
        }
        ("GET", "/v1/nodes") => Reply::Json(200, json!({"nodes": [node()]})),
        ("POST", path) if path == format!("/v1/nodes/{NODE}/approve-key") => {
            Reply::Json(200, json!({"node": node()}))
        }
        _ => error(404, "not_found"),
    })
    .await
}

#[tokio::test]
async fn a_new_token_stands_alone_on_standard_output_so_that_it_can_be_put_in_a_file() {
    let server = server().await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let made =
        orch(&["node", "token", "create", "--name", "node-a", "--label", "zone=a", "--ttl", "10m"], &env)
            .await;
    assert_eq!(stdout(&made), format!("{SECRET}\n"), "{}", stderr(&made));
    assert!(stderr(&made).contains("one node named node-a") && !stderr(&made).contains(SECRET));
    let asked = server.asked().pop().unwrap();
    assert_eq!(
        asked.json(),
        json!({"node_name": "node-a", "labels": {"zone": "a"}, "uses": 1, "ttl_seconds": 600})
    );
    assert!(asked.header("idempotency-key").is_some());
    let made = orch(&["node", "token", "create", "-o", "json"], &env).await;
    let made: Value = serde_json::from_str(&stdout(&made)).unwrap();
    assert_eq!((&made["token"], &made["enrollment_token"]["id"]), (&json!(SECRET), &json!(ID)));
    for wrong in [["--label", "zone"], ["--ttl", "soon"], ["--uses", "x"]] {
        let refused = orch(&[&["node", "token", "create"][..], &wrong].concat(), &env).await;
        assert_eq!(refused.status.code(), Some(64), "{wrong:?}");
    }
}

#[tokio::test]
async fn tokens_are_listed_and_taken_back_by_the_beginning_of_their_ids() {
    let server = server().await;
    // The user's own token is another thing than the one that is taken back.
    let env = [("ORCH_SERVER_URL", server.url.as_str()), ("ORCH_TOKEN", "the.users.own")];
    let listed = stdout(&orch(&["node", "token", "ls"], &env).await);
    assert!(listed.contains("spent") && listed.contains("zone=a") && !listed.contains('\u{1b}'), "{listed}");
    let revoked = orch(&["node", "token", "revoke", ID], &env).await;
    assert_eq!(stdout(&revoked), "7b0c5d4e: revoked; it lets nobody in any more\n", "{}", stderr(&revoked));
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer the.users.own"));
    let several = orch(&["node", "token", "revoke", "7b0c"], &env).await;
    assert!(!several.status.success() && stderr(&several).contains("more than one"), "{}", stderr(&several));
    let none = orch(&["node", "token", "revoke", "ffff"], &env).await;
    assert!(stderr(&none).contains("does not exist"), "{}", stderr(&none));
}

#[tokio::test]
async fn how_a_node_came_in_is_shown_and_another_key_of_it_approved() {
    let server = server().await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let told = stdout(&orch(&["node", "inspect", "node-a"], &env).await);
    assert!(told.contains("one-time token 7b0c5d4e of ann, 2026-01-02T03:04:05Z"), "{told}");
    assert!(told.contains("sha256:abab") && told.contains("zone=a"), "{told}");
    let key = format!("sha256:{}", "cd".repeat(32));
    let approved = orch(&["node", "approve-key", "node-a", &key, "--within", "30m"], &env).await;
    assert!(stdout(&approved).contains("within 30m"), "{}{}", stdout(&approved), stderr(&approved));
    assert_eq!(server.asked().pop().unwrap().json(), json!({"fingerprint": key, "within_seconds": 1800}));
    let wrong = orch(&["node", "approve-key", "node-a", "sha256:cd"], &env).await;
    assert_eq!(wrong.status.code(), Some(64));
}
