//! The client's side against the real server: what a user and an agent of the workspace say is what it understands.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use orch_auth::key::ServerKey;
use orch_client::{CallOptions, Client, HttpAgentApi, deploy_file};
use orch_core::agent::{AgentApi as _, AgentApiError, Authority, DesiredVersion, Heartbeat, RegisterRequest};
use orch_core::api::Force;
use orch_core::api::apply::ApplyQuery;
use orch_core::api::endpoint::{
    Apply, GetRollout, GetWhoAmI, ListEvents, ListNodes, ListTasks, Nothing, ScaleService,
};
use orch_core::api::event::EventsQuery;
use orch_core::api::service::{ScaleRequest, SpecRequest};
use orch_core::api::task::TasksQuery;
use orch_core::env::SystemEnv;
use orch_core::identity::RegistrationClaim;
use orch_core::node::Resources;
use orch_core::secret::Secret;
use orch_core::store::MemoryStore;
use orch_core::task::{Health, TaskReport, TaskStatus};
use orch_core::testing::parts::{TOKEN, plain};
use orch_server::Server;

/// A server on a port of its own, for as long as the test's runtime lives.
async fn serve(address: SocketAddr) -> String {
    let control = plain(SystemEnv::shared(), Arc::new(MemoryStore::new())).start().await.unwrap();
    let key = ServerKey::derive(&Secret::new("0123456789abcdef0123456789abcdef".to_owned())).unwrap();
    let server = Server::builder(control, key).bind(address).await.unwrap();
    let url = format!("http://{}", server.address());
    tokio::spawn(server.run(std::future::pending()));
    url
}

/// An agent without containers: whatever it should run, it says runs.
struct Pretender {
    api: HttpAgentApi,
    authority: Authority,
    have: Option<DesiredVersion>,
}

impl Pretender {
    async fn register(url: &str, name: &str) -> Self {
        let api = HttpAgentApi::new(&Client::builder().server(url)).unwrap();
        let claim = RegistrationClaim {
            facts: Default::default(),
            name: name.parse().unwrap(),
            advertise_address: "127.0.0.1".to_owned(),
            labels: [("zone".to_owned(), "a".to_owned())].into(),
            capacity: Resources::new(4000, 8 << 30),
            allocatable: Resources::new(4000, 8 << 30),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: None,
        };
        let token = Some(Secret::new(TOKEN.to_owned()));
        let registered = api.register(RegisterRequest { claim, token, key: None }).await.unwrap();
        let authority =
            Authority { node: registered.node, credential: registered.credential, sequence: Some(0) };
        Self { api, authority, have: None }
    }

    fn next(&mut self) {
        self.authority.sequence = self.authority.sequence.map(|sequence| sequence + 1);
    }

    /// One round: heartbeat, what should run, and what runs.
    async fn round(&mut self, wait: Duration) -> Result<(), AgentApiError> {
        self.next();
        let beat = self.api.heartbeat(&self.authority, Heartbeat::default()).await?;
        if let Some((credential, _)) = beat.credential {
            self.authority.credential = credential;
        }
        self.next();
        let set = self.api.desired(&self.authority, self.have, wait).await?;
        self.have = Some(set.version);
        let report = |task: &orch_core::agent::DesiredTask| {
            let status = match task.desired {
                orch_core::task::DesiredStatus::Running => TaskStatus::Running(Health::Unchecked),
                _ => TaskStatus::Removed,
            };
            TaskReport::new(task.id, Some(task.attempt), status)
        };
        let reports: Vec<TaskReport> = set.tasks.iter().map(report).collect();
        if !reports.is_empty() {
            self.next();
            self.api.report(&self.authority, reports).await?;
        }
        Ok(())
    }
}

fn user(url: &str, role: &str) -> Client {
    Client::builder().server(url).token(Secret::new(format!("alice:{role}"))).build().unwrap()
}

const FILE: &str = "
name: web
image: example/web:1
replicas: 2
ports: [{container: 8080}]
env: {VERSION: 1.10, DEBUG: on}
placement: {labels: {zone: a}}
rollout: {minHealthy: 1ms}
";

#[tokio::test]
async fn a_deploy_file_becomes_running_tasks() {
    let url = serve("127.0.0.1:0".parse().unwrap()).await;
    let mut agent = Pretender::register(&url, "node-1").await;
    let client = user(&url, "operator");
    let spec = deploy_file::parse(FILE).unwrap().remove(0);
    let request = SpecRequest { spec };
    let applied = client.call::<Apply>(&[], &ApplyQuery::default(), &request).await.unwrap();
    assert!(applied.created);
    assert_eq!(
        applied.service.spec.env,
        [("DEBUG", "on"), ("VERSION", "1.10")].map(|(k, v)| (k.into(), v.into())).into()
    );
    let again = client.call::<Apply>(&[], &ApplyQuery::default(), &request).await.unwrap();
    assert!(!again.created && again.changes.is_empty(), "{again:?}");

    let deployment = applied.deployment.unwrap();
    let nothing = Nothing {};
    let done = async {
        loop {
            agent.round(Duration::from_secs(1)).await.unwrap();
            let now =
                client.call::<GetRollout>(&[&deployment.id], &nothing, &nothing).await.unwrap().deployment;
            if now.status == "succeeded" {
                break;
            }
            assert!(["pending", "running"].contains(&now.status.as_str()), "{now:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), done).await.unwrap();
    let query = TasksQuery { status: Some("running".to_owned()), ..TasksQuery::default() };
    let tasks = client.call::<ListTasks>(&[], &query, &nothing).await.unwrap().tasks;
    assert_eq!(tasks.len(), 2);
    assert!(
        tasks
            .iter()
            .all(|task| task.ports[0].container_port == 8080 && task.ports[0].published_port >= 30_000)
    );
    let events = client.call::<ListEvents>(&[], &EventsQuery::default(), &nothing).await.unwrap().events;
    assert!(events.iter().any(|event| event.kind == "service.created"), "{events:?}");
}

#[tokio::test]
async fn one_key_is_one_write_and_a_moved_revision_is_a_conflict() {
    let url = serve("127.0.0.1:0".parse().unwrap()).await;
    let client = user(&url, "operator");
    let request = SpecRequest { spec: deploy_file::parse(FILE).unwrap().remove(0) };
    let mut options = CallOptions::default();
    options.idempotency_key = Some("once".to_owned());
    let (query, force) = (ApplyQuery::default(), Force::default());
    let first = client.call_with::<Apply>(&[], &query, &request, &options).await.unwrap();
    let second = client.call_with::<Apply>(&[], &query, &request, &options).await.unwrap();
    assert_eq!(first.service.id, second.service.id);
    let other = SpecRequest { spec: deploy_file::parse(&FILE.replace("web:1", "web:2")).unwrap().remove(0) };
    let reused = client.call_with::<Apply>(&[], &query, &other, &options).await.unwrap_err();
    assert!(reused.has_code("conflict"), "{reused}");

    let scale = ScaleRequest { replicas: 3 };
    let scaled = client.call::<ScaleService>(&[&first.service.id], &force, &scale).await.unwrap().service;
    assert!(scaled.revision > first.service.revision);
    let mut stale = CallOptions::default();
    stale.if_match = Some(first.service.revision);
    let moved = client.call_with::<Apply>(&[], &query, &other, &stale).await.unwrap_err();
    assert!(moved.has_code("conflict"), "{moved}");
}

#[tokio::test]
async fn roles_hold_and_a_node_is_seen() {
    let url = serve("127.0.0.1:0".parse().unwrap()).await;
    Pretender::register(&url, "node-1").await;
    let (viewer, nothing) = (user(&url, "viewer"), Nothing {});
    let nodes = viewer.call::<ListNodes>(&[], &nothing, &nothing).await.unwrap().nodes;
    assert_eq!((nodes[0].hostname.as_str(), nodes[0].allocatable.cpu.0), ("node-1", 4000));
    assert_eq!(
        viewer.call::<GetWhoAmI>(&[], &nothing, &nothing).await.unwrap().role.as_deref(),
        Some("viewer")
    );
    let request = SpecRequest { spec: deploy_file::parse(FILE).unwrap().remove(0) };
    let denied = viewer.call::<Apply>(&[], &ApplyQuery::default(), &request).await.unwrap_err();
    assert!(denied.has_code("forbidden"), "{denied}");
    let stranger = Client::builder().server(&url).build().unwrap();
    let unknown = stranger.call::<ListNodes>(&[], &nothing, &nothing).await.unwrap_err();
    assert!(unknown.has_code("unauthorized"), "{unknown}");
}
