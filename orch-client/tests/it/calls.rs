//! Calls over real sockets: what is sent, what is tried again, and what never is.

use std::time::Duration;

use orch_client::{Client, ClientBuilder, ClientError, RetryPolicy};
use orch_core::api::Force;
use orch_core::api::endpoint::{DeleteService, GetVersion, ListNodes, Nothing, ScaleService};
use orch_core::api::event::EventsQuery;
use orch_core::api::logs::{LogFrame, LogsQuery};
use orch_core::api::service::ScaleRequest;
use orch_core::secret::Secret;
use serde_json::json;

use super::server::{Reply, Server, dead_url, error};

const QUICK: RetryPolicy =
    RetryPolicy { rounds: 3, initial: Duration::from_millis(1), max: Duration::from_millis(4) };

fn client(urls: &[&str]) -> Client {
    urls.iter().fold(Client::builder().retry(QUICK), |b, url| b.server(*url)).build().unwrap()
}

fn nodes() -> Reply {
    Reply::Json(200, json!({"nodes": []}))
}

fn service() -> Reply {
    let time = "2026-01-02T03:04:05Z";
    Reply::Json(
        200,
        json!({"service": {"id": "s", "namespace": "default", "spec": {"name": "web", "image": "web:1", "replicas": 3},
            "status": "active", "deployment_version": 1, "created_at": time, "updated_at": time}}),
    )
}

#[tokio::test]
async fn a_call_says_who_asks_where_and_what() {
    let server = Server::start(|_, _| service()).await;
    let token = Secret::new("tok-en\n".to_owned());
    let builder: ClientBuilder = Client::builder()
        .server(&server.url)
        .token(token)
        .namespace("shop".parse().unwrap())
        .user_agent("me/1");
    assert!(!format!("{builder:?}").contains("tok-en"));
    let client = builder.build().unwrap();
    let (force, body) = (Force { force: true }, ScaleRequest { replicas: 3 });
    let answer = client.call::<ScaleService>(&["s"], &force, &body).await.unwrap();
    assert_eq!(answer.service.spec.replicas, 3);
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/services/s/scale?force=true"));
    assert_eq!(asked.header("authorization"), Some("Bearer tok-en"));
    assert_eq!(asked.header("x-orch-namespace"), Some("shop"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("user-agent"), Some("me/1"));
    assert_eq!(asked.json(), json!({"replicas": 3}));
}

#[tokio::test]
async fn a_read_is_tried_again_while_the_server_is_not_available() {
    let server = Server::start(|_, before| match before {
        0 => error(503, "unavailable"),
        1 => Reply::With(429, &[("retry-after", "0")], String::new()),
        _ => nodes(),
    })
    .await;
    client(&[&server.url]).call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap();
    assert_eq!(server.asked().len(), 3);
    assert!(server.asked()[0].header("idempotency-key").is_none());
}

#[tokio::test]
async fn a_write_is_repeated_under_one_key_and_the_next_has_another() {
    let server = Server::start(|_, before| match before {
        0 => Reply::HangUp,
        1 => error(503, "unavailable"),
        _ => service(),
    })
    .await;
    let client = client(&[&server.url]);
    let body = ScaleRequest { replicas: 3 };
    for _ in 0..2 {
        client.call::<ScaleService>(&["s"], &Force::default(), &body).await.unwrap();
    }
    let asked = server.asked();
    let keys: Vec<_> = asked.iter().map(|a| a.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
    assert_ne!(keys[2], keys[3]);
}

#[tokio::test]
async fn retries_end_and_the_last_error_is_told() {
    let server = Server::start(|_, _| error(503, "unavailable")).await;
    let failed = client(&[&server.url]).call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert!(failed.has_code("unavailable"), "{failed}");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_server_that_asks_for_a_longer_wait_than_allowed_is_not_asked_again() {
    let server = Server::start(|_, _| Reply::With(503, &[("retry-after", "3600")], String::new())).await;
    let failed = client(&[&server.url]).call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert_eq!(failed.api().unwrap().retry_after, Some(Duration::from_secs(3600)));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_no_is_a_no() {
    for (status, code) in [
        (400, "invalid_argument"),
        (401, "unauthorized"),
        (404, "not_found"),
        (409, "conflict"),
        (500, "uncertain"),
    ] {
        let server = Server::start(move |_, _| error(status, code)).await;
        let client = client(&[&server.url]);
        let failed = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
        let ClientError::Api(answer) = failed else { panic!("{failed}") };
        assert_eq!((answer.status, answer.code.as_str()), (status, code));
        assert_eq!(answer.request_id.as_deref(), Some("r-7"));
        assert_eq!(server.asked().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn the_next_server_is_asked_and_stays_the_first_one() {
    let (dead, busy) = (dead_url().await, Server::start(|_, _| error(503, "unavailable")).await);
    let live = Server::start(|_, _| nodes()).await;
    let client = client(&[&dead, &busy.url, &live.url]);
    for _ in 0..3 {
        client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap();
    }
    assert_eq!((busy.asked().len(), live.asked().len()), (1, 3));
}

#[tokio::test]
async fn nobody_there_is_told_as_such() {
    let failed =
        client(&[&dead_url().await]).call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(failed, ClientError::Unreachable { .. }), "{failed:?}");
    assert!(failed.chain().contains("refused"), "{}", failed.chain());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let builder = Client::builder().server(&server.url).request_timeout(Duration::from_millis(50));
    let client = builder.retry(RetryPolicy::one_round()).build().unwrap();
    let failed = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(failed, ClientError::Timeout { .. }), "{failed:?}");
}

#[tokio::test]
async fn an_answer_of_another_kind_of_server_is_not_believed() {
    let server = Server::start(|_, _| Reply::With(200, &[], "<html>hello</html>".to_owned())).await;
    let failed = client(&[&server.url]).call::<GetVersion>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(failed, ClientError::Protocol { .. }), "{failed:?}");
}

#[tokio::test]
async fn an_empty_answer_is_fine_where_none_is_due() {
    let server = Server::start(|_, _| Reply::With(204, &[], String::new())).await;
    client(&[&server.url]).call::<DeleteService>(&["s"], &Nothing {}, &Nothing {}).await.unwrap();
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.body.len()), ("DELETE", 0));
}

#[tokio::test]
async fn a_log_comes_in_lines_however_it_was_cut() {
    let server =
        Server::start(|_, _| Reply::Chunks(vec![b"one\ntw", b"o\r\n\nth", "ré".as_bytes(), b"e\xff\nlast"]))
            .await;
    let query =
        LogsQuery { service_id: Some("s".to_owned()), tail: Some("5".to_owned()), ..LogsQuery::default() };
    let mut log = client(&[&server.url]).logs(&query).await.unwrap();
    let mut lines = Vec::new();
    while let Some(line) = log.next_line().await.unwrap() {
        lines.push(line);
    }
    assert_eq!(lines, ["one", "two", "", "thrée\u{fffd}", "last"]);
    assert_eq!(server.asked()[0].path, "/v1/logs?service_id=s&tail=5");
    let refused = Server::start(|_, _| error(404, "not_found")).await;
    assert!(client(&[&refused.url]).logs(&query).await.err().unwrap().has_code("not_found"));
}

#[tokio::test]
async fn followed_events_come_once_and_in_order_over_broken_connections() {
    const FIRST: &str = r#"{"event":{"id":"a","type":"task.failed","severity":"error","source":"agent","message":"","timestamp":"2026-01-02T03:04:05Z"}}
"#;
    const NEXT: &str = r#"{"at":{"seq":"7"}}
{"event":{"id":"b","type":"task.failed","severity":"error","source":"agent","message":"","timestamp":"2026-01-02T03:04:05Z","seq":"8.0"}}
{"of a later version":{}}
"#;
    let server = Server::start(|_, before| match before {
        // Cut off before the first place: the newest are told again.
        0 => Reply::Chunks(vec![FIRST.as_bytes()]),
        1 => Reply::Chunks(vec![FIRST.as_bytes(), NEXT.as_bytes()]),
        2 => error(503, "unavailable"),
        _ => error(410, "gone"),
    })
    .await;
    let mut follower = client(&[&server.url]).follow_events(EventsQuery::default());
    let mut told = Vec::new();
    for _ in 0..5 {
        told.push(
            follower
                .next()
                .await
                .map_or_else(|error| error.api().map_or(0, |e| e.status).to_string(), |e| e.id),
        );
    }
    assert_eq!(told, ["a", "0", "b", "0", "503"]);
    assert!(follower.next().await.unwrap_err().has_code("gone"));
    let paths: Vec<_> = server.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths[0], "/v1/events?follow=true");
    assert!(paths[3].contains("after=8.0"), "{paths:?}");
}

#[tokio::test]
async fn logs_in_frames_go_on_after_the_last_line_and_end_only_where_the_server_says_so() {
    const TASK: &str = "00000000-0000-4000-8000-000000000001";
    const FIRST: &str = r#"{"open":{"task":"00000000-0000-4000-8000-000000000001","replica":1,"attempt":2,"at":"2026-01-02T03:04:05Z"}}
{"line":{"task":"00000000-0000-4000-8000-000000000001","replica":1,"attempt":2,"at":"2026-01-02T03:04:05.000000007Z","stream":"stdout","text":"one"}}
"#;
    let server = Server::start(|_, before| match before {
        0 => Reply::Chunks(vec![FIRST.as_bytes(), br#"{"line":{"task":"0000"#]),
        _ => Reply::Chunks(vec![b"{\"alive\":{}}\n{\"complete\":{}}\n"]),
    })
    .await;
    let query = LogsQuery { service_id: Some("s".to_owned()), ..LogsQuery::default() };
    let mut log = client(&[&server.url]).log_frames(query);
    assert!(matches!(log.next().await.unwrap(), Some(LogFrame::Open(_))));
    assert!(matches!(log.next().await.unwrap(), Some(LogFrame::Line(line)) if line.text == "one"));
    assert!(log.next().await.is_err(), "cut off");
    assert_eq!(log.next().await.unwrap(), None);
    let asked = server.asked();
    assert_eq!(asked[0].path, "/v1/logs?format=json&service_id=s");
    let nanos = 1_767_323_045_000_000_007_i64;
    let cursor = format!("{TASK}:2:0::{nanos}.1:0.0").replace(':', "%3A");
    assert!(asked[1].path.contains(&cursor), "{} {cursor}", asked[1].path);
}
