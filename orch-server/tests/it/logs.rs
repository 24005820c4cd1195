//! Logs from a container to whoever reads them: over HTTP on both sides, with a real agent in between.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use orch_agent::{Agent, AgentConfig};
use orch_client::{Client, HttpAgentApi};
use orch_core::api::event::EventsQuery;
use orch_core::api::logs::{LogCursors, LogFrame, LogsQuery};
use orch_core::env::SystemEnv;
use orch_core::identity::Role;
use orch_core::node::Resources;
use orch_core::runtime::ContainerId;
use orch_core::secret::Secret;
use orch_core::task::TaskStatus;
use orch_core::testing::runtime::FakeRuntime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{REGISTRATION_TOKEN, World};

/// A node with a runtime in memory, whose agent speaks HTTP with the server.
pub(crate) struct Node {
    pub(crate) runtime: FakeRuntime,
    stop: CancellationToken,
    agent: JoinHandle<()>,
}

impl Node {
    pub(crate) fn start(world: &World) -> Self {
        let env = SystemEnv::shared();
        let runtime = FakeRuntime::new(Arc::clone(&env));
        let api = HttpAgentApi::new(&Client::builder().server(world.base())).unwrap();
        let capacity = Resources::new(4000, 8 << 30);
        let mut config = AgentConfig::new("node-a".parse().unwrap(), "127.0.0.1", capacity);
        config.token = Some(Secret::new(REGISTRATION_TOKEN.to_owned()));
        let agent = Agent::builder(env, Arc::new(api), Arc::new(runtime.clone()), config).build();
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent.run(stop.clone()));
        Self { runtime, stop, agent }
    }

    /// The one container, once the control plane knows that it runs.
    pub(crate) async fn container(&self, world: &World) -> (String, ContainerId) {
        loop {
            let image = world.control.image();
            let task = image.tasks().find(|task| task.status.is_running());
            if let Some((task, container)) = task.and_then(|t| Some((t.id, self.runtime.running(t.id)?.id))) {
                return (task.to_string(), container);
            }
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        soon(self.agent).await.unwrap();
    }
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("it comes in time")
}

#[tokio::test]
async fn what_a_container_prints_is_read_and_followed_over_http() {
    let world = World::start().await;
    let node = Node::start(&world);
    let service = world.create("web").await;
    let (task, container) = soon(node.container(&world)).await;
    for line in ["one", "two", "three"] {
        node.runtime.write_log(&container, line);
    }

    let all = soon(world.get(&format!("/v1/logs?task_id={task}"))).await;
    assert_eq!((all.status.as_u16(), all.text.as_str()), (200, "one\ntwo\nthree\n"));
    assert_eq!(all.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(all.headers["x-content-type-options"], "nosniff");
    let last = soon(world.get(&format!("/v1/logs?service_id={service}&tail=1"))).await;
    assert_eq!(last.text, "three\n");

    let token = Secret::new(world.token(Role::Viewer));
    let client = Client::builder().server(world.base()).token(token).build().unwrap();
    let query = LogsQuery { task_id: Some(task), follow: true, ..LogsQuery::default() };
    let mut log = soon(client.logs(&query)).await.unwrap();
    for line in ["one", "two", "three"] {
        assert_eq!(soon(log.next_line()).await.unwrap().as_deref(), Some(line));
    }
    node.runtime.write_log(&container, "four, while someone looks");
    assert_eq!(soon(log.next_line()).await.unwrap().as_deref(), Some("four, while someone looks"));

    // A server that stops ends what is followed, and does not wait for it.
    node.stop().await;
    soon(world.stop()).await;
    assert!(matches!(soon(log.next_line()).await, Ok(None) | Err(_)));
}

#[tokio::test]
async fn the_last_lines_of_a_replica_that_is_being_stopped_are_not_lost() {
    let world = World::start().await;
    let node = Node::start(&world);
    // It is left alone for ten minutes before it gets its signal.
    let spec = serde_json::json!({"name": "web", "image": "web:1", "replicas": 1, "drain_delay": 600_000_000_000_u64});
    let made = world.post("/v1/services", &serde_json::json!({"spec": spec})).await.expect(201);
    let service = made["service"]["id"].as_str().unwrap();
    let (task, container) = soon(node.container(&world)).await;
    node.runtime.write_log(&container, "last words");
    let scale = format!("/v1/services/{service}/scale");
    world.post(&scale, &serde_json::json!({"replicas": 0})).await.expect(200);
    soon(async {
        while world.control.image().tasks().any(|task| task.status != TaskStatus::Stopping) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let text = soon(world.get(&format!("/v1/logs?service_id={service}"))).await;
    assert_eq!((text.status.as_u16(), text.text.as_str()), (200, "last words\n"));

    // Beside it the new replica, and each line says whose it is.
    world.post(&scale, &serde_json::json!({"replicas": 1})).await.expect(200);
    let (_, second) = soon(node.container(&world)).await;
    node.runtime.write_log(&second, "first words");
    let text = soon(world.get(&format!("/v1/logs?service_id={service}"))).await.text;
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["web.1 | first words", "web.1 | last words"], "{task}");

    // The events of the service are those of its tasks, too: forwards, backwards and as they come.
    let of_service = world.get(&format!("/v1/events?service_id={service}&limit=500")).await.expect(200);
    let kinds: Vec<_> = of_service["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    for kind in ["service.created", "reconciler.task.created", "reconciler.task.stopped", "task.status"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    node.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn logs_of_what_does_not_run_are_refused_with_the_reason() {
    let world = World::start().await;
    let service = world.create("web").await;
    let none = world.get(&format!("/v1/logs?service_id={service}")).await;
    assert_eq!((none.status.as_u16(), none.code().as_str()), (400, "invalid_argument"));
    let unknown = world.get("/v1/logs?task_id=00000000-0000-4000-8000-000000000000").await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "not_found"));
    let neither = world.get("/v1/logs").await;
    assert_eq!((neither.status.as_u16(), neither.code().as_str()), (400, "invalid_argument"));
    world.stop().await;
}

#[tokio::test]
async fn frames_tell_all_of_a_line_follow_the_next_attempt_and_go_on_at_a_place() {
    let world = World::start().await;
    let node = Node::start(&world);
    let service = world.create("web").await;
    let (task, container) = soon(node.container(&world)).await;
    for line in ["one", "two"] {
        node.runtime.write_log(&container, line);
    }
    let token = Secret::new(world.token(Role::Viewer));
    let client = Client::builder().server(world.base()).token(token).build().unwrap();
    let query = LogsQuery { service_id: Some(service), follow: true, ..LogsQuery::default() };
    let mut cursors = LogCursors::default();
    let mut log = client.log_frames(query.clone());
    let mut told = Vec::new();
    while told.len() < 3 {
        let frame = soon(log.next()).await.unwrap().unwrap();
        cursors.note(&frame, None);
        told.push(match frame {
            LogFrame::Open(open) => format!("attempt {} of {}", open.attempt, open.task),
            LogFrame::Line(line) => line.text,
            other => format!("{other:?}"),
        });
    }
    assert_eq!(told, [format!("attempt 1 of {task}"), "one".to_owned(), "two".to_owned()]);
    drop(log);

    node.runtime.write_log(&container, "three");
    let query = LogsQuery { cursor: Some(cursors.to_string()), format: Some("json".to_owned()), ..query };
    let mut log = soon(client.logs(&query)).await.unwrap();
    let mut next = async || -> LogFrame {
        serde_json::from_str(&soon(log.next_line()).await.unwrap().unwrap()).unwrap()
    };
    assert!(matches!(next().await, LogFrame::Open(_)));
    assert!(matches!(next().await, LogFrame::Line(line) if line.text == "three"));
    assert!(node.runtime.kill(&container, 3));
    assert!(matches!(next().await, LogFrame::End(end) if end.reason == "exit 3"));
    node.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn a_task_whose_node_is_away_is_told_and_does_not_hold_up() {
    let world = World::start().await;
    let (node, credential) = world.register("node-a").await;
    let service = world.create("web").await;
    soon(async {
        while world.control.image().tasks().all(|task| task.node.is_none()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(credential);
    world.post(&format!("/v1/nodes/{node}/revoke"), &serde_json::json!({})).await.expect(200);
    let answer = soon(world.get(&format!("/v1/logs?service_id={service}&format=json"))).await;
    assert!(answer.text.contains(r#"{"away":"#), "{}", answer.text);
    assert!(answer.text.ends_with("{\"complete\":{}}\n"), "{}", answer.text);
    for wrong in ["format=xml", "format=json&cursor=x", "previous=true", "since=noon"] {
        let answer = world.get(&format!("/v1/logs?service_id={service}&{wrong}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"), "{wrong}");
    }
    world.stop().await;
}

#[tokio::test]
async fn events_are_followed_once_each_from_a_place_and_a_forgotten_place_is_told() {
    let world = World::start().await;
    world.create("one").await;
    let token = Secret::new(world.token(Role::Viewer));
    let client = Client::builder().server(world.base()).token(token).build().unwrap();
    let query = EventsQuery { kind: Some("service.created".to_owned()), ..EventsQuery::default() };
    let mut follower = client.follow_events(query.clone());
    let first = soon(follower.next()).await.unwrap();
    assert!(first.message.contains("one") && first.seq.is_none(), "{first:?}");
    world.create("two").await;
    let second = soon(follower.next()).await.unwrap();
    assert!(second.message.contains("two"), "{second:?}");
    world.create("three").await;
    drop(follower);
    let after = second.seq.clone();
    let mut follower = client.follow_events(EventsQuery { after, ..query });
    let third = soon(follower.next()).await.unwrap();
    assert!(third.message.contains("three"), "{third:?}");

    let seq = second.seq.unwrap();
    let page = world.get(&format!("/v1/events?type=service.created&after={seq}")).await.expect(200);
    assert_eq!(page["events"][0]["id"], third.id.as_str());
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    world.forget_events().await;
    for follow in ["", "&follow=true"] {
        let gone = world.get(&format!("/v1/events?after=1.0{follow}")).await;
        assert_eq!((gone.status.as_u16(), gone.code().as_str()), (410, "gone"), "{}", gone.text);
        assert!(gone.json()["error"]["details"]["oldest"].is_string(), "{}", gone.text);
    }
    let wrong = world.get("/v1/events?after=last").await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (400, "invalid_argument"));
    drop(follower);
    world.stop().await;
}
