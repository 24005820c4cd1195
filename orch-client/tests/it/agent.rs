//! What an agent says over HTTP, and what it makes of the answers.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use orch_client::{Client, HttpAgentApi};
use orch_core::agent::{
    AgentApi as _, AgentApiError, Authority, DesiredVersion, Directive, Heartbeat, RegisterRequest,
    TaskVerdict, TicketId,
};
use orch_core::cluster::Revision;
use orch_core::id::{ClusterId, IdStream, NodeId, TaskId};
use orch_core::identity::RegistrationClaim;
use orch_core::node::Resources;
use orch_core::secret::Secret;
use orch_core::task::{TaskReport, TaskStatus};
use serde_json::json;

use super::server::{Reply, Server, dead_url, error};

const CLUSTER: &str = "7b0c5d4e-0000-4000-8000-000000000001";
const NODE: &str = "7b0c5d4e-0000-4000-8000-000000000002";

fn api(urls: &[&str]) -> HttpAgentApi {
    HttpAgentApi::new(&urls.iter().fold(Client::builder(), |b, url| b.server(*url))).unwrap()
}

fn authority() -> Authority {
    let credential = Secret::new("orchn_secret".to_owned());
    Authority { node: NODE.parse().unwrap(), credential, sequence: Some(7) }
}

fn answer(credential: bool) -> Reply {
    let time = "2026-01-02T03:04:05Z";
    let none = json!({"cpu": 0, "memory": 0});
    let mut answer = json!({
        "node": {"id": NODE, "hostname": "node-1", "advertise_address": "10.0.0.1", "capacity": none, "allocatable": none,
            "status": "ready", "last_heartbeat_at": time, "created_at": time, "updated_at": time, "incarnation": 3},
        "status": "ready", "cluster_id": CLUSTER, "incarnation": 3, "heartbeat_interval_seconds": 2.5,
        "desired": {"cluster": CLUSTER, "revision": 12},
        "directives": [{"type": "drain"}, {"type": "from_the_future"}],
    });
    if credential {
        answer["credential"] = json!({"token": "orchn_next", "expires_at": time, "ttl_seconds": 900});
    }
    Reply::Json(200, answer)
}

#[tokio::test]
async fn a_registration_shows_the_token_and_brings_the_credential() {
    let server = Server::start(|_, _| answer(true)).await;
    let claim = RegistrationClaim {
        facts: Default::default(),
        name: "node-1".parse().unwrap(),
        advertise_address: "10.0.0.1".to_owned(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        capacity: Resources::new(4000, 1 << 30),
        allocatable: Resources::new(3000, 1 << 29),
        agent_version: "0.1.0".to_owned(),
        boot: None,
    };
    let token = Some(Secret::new("bootstrap".to_owned()));
    let registered = api(&[&server.url]).register(RegisterRequest { claim, token, key: None }).await.unwrap();
    assert_eq!(registered.node, NODE.parse::<NodeId>().unwrap());
    assert_eq!((registered.incarnation.0, registered.ttl), (3, Duration::from_secs(900)));
    assert_eq!(registered.credential.expose(), "orchn_next");
    assert_eq!(registered.heartbeat_interval, Duration::from_millis(2500));
    assert_eq!(registered.directives, [Directive::Drain]);
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/agent/register"));
    assert_eq!(asked.header("x-orch-bootstrap-token"), Some("bootstrap"));
    assert!(asked.header("authorization").is_none());
    assert_eq!(asked.json()["capacity"], json!({"cpu": 4000, "memory": 1 << 30}));
}

#[tokio::test]
async fn a_heartbeat_shows_credential_and_sequence_and_may_bring_no_new_one() {
    let server = Server::start(|_, before| answer(before == 0)).await;
    let api = api(&[&server.url]);
    let first = api.heartbeat(&authority(), Heartbeat::default()).await.unwrap();
    assert_eq!(first.credential.unwrap().0.expose(), "orchn_next");
    assert_eq!(first.desired.revision, Revision(12));
    let second =
        api.heartbeat(&authority(), Heartbeat { shutdown: true, ..Heartbeat::default() }).await.unwrap();
    assert!(second.credential.is_none());
    let asked = server.asked();
    assert_eq!(asked[0].header("authorization"), Some("Bearer orchn_secret"));
    assert_eq!(asked[0].header("x-orch-sequence"), Some("7"));
    assert_eq!(asked[1].json()["shutdown"], true);
}

#[tokio::test]
async fn a_poll_says_what_it_has_and_how_long_it_waits() {
    let server = Server::start(|_, _| {
        let version = json!({"cluster": CLUSTER, "revision": 13});
        Reply::Json(200, json!({"version": version, "node": NODE, "tasks": []}))
    })
    .await;
    let have = DesiredVersion { cluster: CLUSTER.parse::<ClusterId>().unwrap(), revision: Revision(12) };
    let set = api(&[&server.url]).desired(&authority(), Some(have), Duration::from_secs(55)).await.unwrap();
    assert_eq!((set.version.revision, set.tasks.len()), (Revision(13), 0));
    let path = &server.asked()[0].path;
    for part in [
        "/v1/agent/desired?",
        &format!("node_id={NODE}"),
        &format!("cluster={CLUSTER}"),
        "revision=12",
        "wait=55",
    ] {
        assert!(path.contains(part), "{path}");
    }
}

#[tokio::test]
async fn reports_get_one_verdict_each() {
    let server = Server::start(|_, _| {
        let verdicts = json!([{"accepted": true}, {"accepted": false, "reason": "backwards"}]);
        Reply::Json(200, json!({"verdicts": verdicts, "revision": 5}))
    })
    .await;
    let mut ids = IdStream::seeded(1);
    let mut report = || TaskReport::new(ids.next::<TaskId>(), None, TaskStatus::Pulling);
    let api = api(&[&server.url]);
    let answer = api.report(&authority(), vec![report(), report()]).await.unwrap();
    assert_eq!(answer.verdicts, [TaskVerdict::Accepted, TaskVerdict::Refused("backwards".to_owned())]);
    let odd = api.report(&authority(), vec![report()]).await.unwrap_err();
    assert!(matches!(odd, AgentApiError::Unavailable { .. }), "{odd:?}");
}

#[tokio::test]
async fn a_stream_is_sent_as_it_comes() {
    let server = Server::start(|_, _| Reply::With(204, &[], String::new())).await;
    let chunks = ["one\n", "two\n"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
    let stream = futures_util::stream::iter(chunks).boxed();
    api(&[&server.url]).deliver(&authority(), TicketId("t/1".to_owned()), stream).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!(asked.path, format!("/v1/agent/streams/t%2F1?node_id={NODE}"));
    assert_eq!(&asked.body[..], b"one\ntwo\n");
}

#[tokio::test]
async fn one_call_asks_every_server_once_and_then_leaves_it_to_the_agent() {
    let (dead, busy) = (dead_url().await, Server::start(|_, _| error(503, "unavailable")).await);
    let failed = api(&[&dead, &busy.url]).heartbeat(&authority(), Heartbeat::default()).await.unwrap_err();
    assert!(matches!(failed, AgentApiError::Unavailable { .. }), "{failed:?}");
    assert_eq!(busy.asked().len(), 1);
    let live = Server::start(|_, _| answer(true)).await;
    api(&[&dead, &busy.url, &live.url]).heartbeat(&authority(), Heartbeat::default()).await.unwrap();
}

#[tokio::test]
async fn a_revoked_node_is_told_so() {
    let server = Server::start(|_, _| error(401, "node_revoked")).await;
    let failed = api(&[&server.url]).heartbeat(&authority(), Heartbeat::default()).await.unwrap_err();
    assert!(matches!(failed, AgentApiError::NodeRevoked), "{failed:?}");
}
