//! An engine made of prepared answers, for what no engine at hand does: other versions, broken streams, silence.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use orch_core::runtime::{
    ContainerId, ContainerLabels, ContainerRuntime as _, ContainerState, Owner, RuntimeError, RuntimeEvent,
};
use orch_core::service::{RestartPolicy, Version};
use orch_core::task::{Attempt, FailureKind};
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::fixture::fresh_owner;

/// What is answered: a status, pieces of a body, and whether the body ends after them.
struct Answer(u16, Vec<String>, End);

enum End {
    Closes,
    StaysOpen,
}

impl Answer {
    fn json(status: u16, body: Value) -> Self {
        Self(status, vec![body.to_string()], End::Closes)
    }

    /// No head, ever.
    fn silence() -> Self {
        Self(0, Vec::new(), End::StaysOpen)
    }
}

type Handler = dyn Fn(&str) -> Answer + Send + Sync;

/// Listens until it is dropped.
struct Canned {
    path: PathBuf,
    asked: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Canned {
    /// An engine that speaks the versions `oldest` to `newest`, as `1.x`, and answers what is in that range by `handler`,
    /// which is given method and path without the version.
    fn start(
        path: &Path,
        (oldest, newest): (u32, u32),
        handler: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, handler): (_, Arc<Handler>) = (asked.clone(), Arc::new(handler));
        let answer = Arc::new(move |request: &str| {
            log.lock().unwrap().push(request.to_owned());
            let (method, path) = request.split_once(' ').unwrap();
            if path == "/version" {
                return Answer::json(
                    200,
                    json!({
                        "Version": "canned", "ApiVersion": format!("1.{newest}"),
                        "MinAPIVersion": format!("1.{oldest}"), "Components": null, "Unknown": [1],
                    }),
                );
            }
            let (version, rest) = path.strip_prefix("/v1.").unwrap().split_once('/').unwrap();
            match version.parse::<u32>().unwrap() {
                v if v < oldest => Answer::json(
                    400,
                    json!({ "message": format!(
                    "client version 1.{v} is too old. Minimum supported API version is 1.{oldest}, please upgrade your client to a newer version") }),
                ),
                v if v > newest => Answer::json(
                    400,
                    json!({ "message": format!(
                    "client version 1.{v} is too new. Maximum supported API version is 1.{newest}") }),
                ),
                _ => handler(&format!("{method} /{rest}")),
            }
        });
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let answer = answer.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = answer(&format!("{} {}", request.method(), request.uri()));
                    async move {
                        if answer.0 == 0 {
                            std::future::pending::<()>().await;
                        }
                        Ok::<_, Infallible>(response(answer))
                    }
                });
                connections.spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { path: path.to_owned(), asked, _serving: serving }
    }

    fn runtime(&self) -> DockerRuntime {
        runtime(&self.path)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn runtime(path: &Path) -> DockerRuntime {
    DockerRuntime::new(DockerConfig { socket: DockerSocket::at(path), ..DockerConfig::default() })
}

fn response(Answer(status, pieces, end): Answer) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let pieces = stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece)))));
    let body = match end {
        End::Closes => StreamBody::new(pieces).boxed_unsync(),
        End::StaysOpen => StreamBody::new(pieces.chain(stream::pending())).boxed_unsync(),
    };
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

fn labels(owner: Owner) -> ContainerLabels {
    let mut ids = orch_core::id::IdStream::seeded(3);
    ContainerLabels {
        cluster: owner.cluster,
        node: owner.node,
        service: ids.next(),
        task: ids.next(),
        attempt: Attempt::FIRST,
        version: Version(1),
        digest: "ab".repeat(32).try_into().unwrap(),
        restart: RestartPolicy::default(),
        stop: Default::default(),
    }
}

/// A container as new engines describe it: with fields that no one knew, and without some that were there.
fn container(labels: &ContainerLabels) -> Value {
    json!({
        "Id": "c1", "Created": "2026-01-01T00:00:00Z", "Image": "sha256:00", "Name": "/orch-x",
        "ImageManifestDescriptor": { "mediaType": "x" }, "Storage": null,
        "State": { "Status": "exited", "Running": false, "ExitCode": 137, "OOMKilled": true, "Error": "",
            "StartedAt": "2026-01-01T00:00:00.5Z", "FinishedAt": "2026-01-01T00:00:01.25Z", "Health": null },
        "HostConfig": { "CapAdd": null, "NewField": {} },
        "Config": { "Labels": labels.to_map(), "Tty": false, "Env": null, "Cmd": null },
        "NetworkSettings": { "Networks": { "bridge": { "GwPriority": 0, "DNSNames": null } } },
        "Mounts": [],
    })
}

#[tokio::test]
async fn engines_from_the_oldest_to_the_newest_are_spoken_with_in_a_version_that_both_know() {
    let owner = fresh_owner();
    for (range, spoken) in [((12, 41), "1.41"), ((24, 50), "1.47"), ((44, 52), "1.47"), ((49, 53), "1.49")] {
        let dir = tempfile::tempdir().unwrap();
        let ours = labels(owner);
        let engine = Canned::start(&dir.path().join("engine.sock"), range, move |request| {
            match request.split_once('?').map_or(request, |(path, _)| path) {
                "GET /containers/json" => Answer::json(
                    200,
                    json!([{ "Id": "c1", "Labels": ours.to_map(), "State": "exited", "Status": "Exited",
                        "Created": 1_767_225_600, "Health": { "Status": "none" }, "ImageManifestDescriptor": null }]),
                ),
                "GET /containers/c1/json" => Answer::json(200, container(&ours)),
                "POST /containers/c1/start" => Answer(304, Vec::new(), End::Closes),
                "POST /containers/c1/stop" => Answer(304, Vec::new(), End::Closes),
                "DELETE /containers/c1" => Answer::json(404, json!({ "message": "No such container: c1" })),
                other => panic!("{other}"),
            }
        });
        let docker = engine.runtime();
        assert_eq!(docker.info().await.unwrap().api_version.as_deref(), Some(spoken));
        let listed = docker.list(&owner).await.unwrap();
        let ContainerState::Exited(exit) = &listed[0].state else { panic!("{listed:?}") };
        assert_eq!((exit.code, exit.oom_killed, exit.error.as_deref()), (Some(137), true, None));
        let id = &listed[0].id;
        docker.start(id).await.expect("304 is success");
        docker.stop(id, &Default::default()).await.expect("304 is success");
        docker.remove(id).await.expect("404 is success");
        let versioned = engine.asked().into_iter().filter(|request| !request.ends_with(" /version"));
        assert!(versioned.into_iter().all(|request| request.contains(&format!("/v{spoken}/"))));
    }
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_refused_with_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Canned::start(&dir.path().join("engine.sock"), (12, 40), |request| panic!("{request}"));
    let error = engine.runtime().info().await.unwrap_err();
    assert!(matches!(error, RuntimeError::Permanent { kind: FailureKind::Engine, .. }));
    assert!(error.to_string().contains("20.10"), "{error}");
}

#[tokio::test]
async fn an_upgraded_engine_is_asked_anew_for_its_versions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let absent = |_: &str| Answer::json(404, json!({ "message": "No such container: x" }));
    let old = Canned::start(&path, (12, 41), absent);
    let docker = old.runtime();
    let id = ContainerId("x".to_owned());
    assert_eq!(docker.inspect(&id).await.unwrap(), None);
    drop(old);
    let new = Canned::start(&path, (44, 52), absent);
    // The first call may find a broken connection or the version refused; the one after it is right.
    let _ = docker.inspect(&id).await;
    assert_eq!(docker.inspect(&id).await.unwrap(), None);
    assert!(new.asked().last().unwrap().contains("/v1.47/"), "{:?}", new.asked());
}

/// The outcome of a pull whose stream has these items.
async fn pull(status: u16, items: &[Value], end: End) -> (Result<(), RuntimeError>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let answer =
        Mutex::new(Some(Answer(status, items.iter().map(|item| format!("{item}\r\n")).collect(), end)));
    let engine = Canned::start(&dir.path().join("engine.sock"), (24, 50), move |request| {
        match request.split_once(' ').unwrap() {
            ("GET", _) if answer.lock().unwrap().is_some() => {
                Answer::json(404, json!({ "message": "No such image: web:1" }))
            }
            ("GET", _) => Answer::json(200, json!({ "Id": "sha256:11" })),
            (_, path) => {
                assert!(path.contains("fromImage=reg.example%2Fweb") && path.contains("tag=1"), "{path}");
                answer.lock().unwrap().take().unwrap()
            }
        }
    });
    let said = Mutex::new(Vec::new());
    let progress = |text: &str| said.lock().unwrap().push(text.to_owned());
    let pulled = engine.runtime().ensure_image(&"reg.example/web:1".parse().unwrap(), &progress).await;
    if let Ok(digest) = &pulled {
        assert_eq!(digest.0, "sha256:11");
    }
    (pulled.map(drop), said.into_inner().unwrap())
}

#[tokio::test]
async fn a_pull_tells_how_far_it_is() {
    let items = [
        json!({ "status": "Pulling from web", "id": "1" }),
        json!({ "status": "Downloading", "id": "3f4d", "progressDetail": { "current": 43, "total": 100 } }),
    ];
    let (pulled, said) = pull(200, &items, End::Closes).await;
    pulled.unwrap();
    assert_eq!(said, ["1: Pulling from web", "3f4d: Downloading, 43 %"]);
}

#[tokio::test]
async fn a_failure_within_a_stream_that_began_well_is_seen() {
    let items = [
        json!({ "status": "Pulling from web", "id": "1" }),
        json!({ "errorDetail": { "message": "manifest unknown" }, "error": "manifest unknown" }),
    ];
    let (pulled, _) = pull(200, &items, End::Closes).await;
    assert!(matches!(pulled, Err(RuntimeError::Permanent { kind: FailureKind::Image, .. })), "{pulled:?}");
    let (pulled, _) = pull(429, &[json!({ "message": "slow down" })], End::Closes).await;
    assert!(matches!(pulled, Err(RuntimeError::Retry { .. })), "{pulled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_goes_silent_is_given_up_after_a_minute() {
    let start = tokio::time::Instant::now();
    let items = [json!({ "status": "Pulling from web", "id": "1" })];
    let (pulled, _) = pull(200, &items, End::StaysOpen).await;
    assert!(matches!(pulled, Err(RuntimeError::Retry { .. })), "{pulled:?}");
    assert!((60..70).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_ends_at_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Canned::start(&dir.path().join("engine.sock"), (24, 50), |_| Answer::silence());
    let start = tokio::time::Instant::now();
    let result = engine.runtime().inspect(&ContainerId("x".to_owned())).await;
    assert!(matches!(result, Err(RuntimeError::NoAnswer { .. })), "{result:?}");
    assert!((30..32).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_event_stream_mends_itself_and_says_that_something_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("engine.sock");
    let owner = fresh_owner();
    let ours = labels(owner);
    let task = ours.task;
    let event = move |id: &str| {
        let nanos = i64::try_from(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(),
        );
        let line = json!({ "Type": "container", "Action": "start", "scope": "local",
            "Actor": { "ID": id, "Attributes": ours.to_map() }, "time": 1, "timeNano": nanos.unwrap() });
        format!("{line}\n")
    };
    let lines = |ids: &'static [&'static str], end| (ids, end);
    let script = Mutex::new(VecDeque::from([lines(&["a"], End::Closes), lines(&["b"], End::StaysOpen)]));
    let make = event.clone();
    let engine = Canned::start(&path, (24, 50), move |request| {
        assert!(request.starts_with("GET /events?"), "{request}");
        let (ids, end) = script.lock().unwrap().pop_front().expect("no more connections than that");
        let mut pieces: Vec<String> = ids.iter().map(|id| make(id)).collect();
        pieces.insert(0, "this is no event\n".to_owned());
        Answer(200, pieces, end)
    });
    let mut events = engine.runtime().events(&owner);
    let mut next = async || {
        tokio::time::timeout(Duration::from_secs(20), events.next())
            .await
            .expect("in time")
            .expect("never ends")
    };
    let changed = |id: &str, event: RuntimeEvent| match event {
        RuntimeEvent::Changed(event) => {
            assert_eq!((event.container.0.as_str(), event.task), (id, Some(task)));
        }
        other => panic!("{other:?}"),
    };
    changed("a", next().await);
    assert_eq!(next().await, RuntimeEvent::Reconnected);
    changed("b", next().await);
    drop(engine);
    assert!(matches!(next().await, RuntimeEvent::Unreachable(_)));
    let _back = Canned::start(&path, (44, 52), move |_| Answer(200, vec![event("c")], End::StaysOpen));
    assert_eq!(next().await, RuntimeEvent::Reconnected);
    changed("c", next().await);
}
