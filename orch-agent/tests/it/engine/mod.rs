//! The agent on the machine's Docker Engine, and on a way to it that is made bad: what others' orchestrators stumbled over.

mod proxy;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_agent::{Agent, AgentConfig, AgentStatus, MemoryCache, NodeKey};
use orch_core::agent::DesiredTask;
use orch_core::env::{EnvExt as _, SystemEnv};
use orch_core::id::{IdStream, ServiceId, TaskId};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::runtime::{ContainerId, ContainerRuntime as _, ContainerState, ObservedContainer, Owner};
use orch_core::secret::Secret;
use orch_core::service::{ImageRef, StopPolicy, Version};
use orch_core::task::{Attempt, DesiredStatus, FailureKind, Slot, TaskStatus};
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::{build_demo_server, import_demo_image};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::proxy::{Proxy, Trouble};
use crate::node::template;
use crate::server::Server;

/// Everything is given up on after this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node of a cluster that no other test has, whose agent reaches the engine through a proxy, and whose test does directly.
struct Node {
    server: Arc<Server>,
    engine: DockerRuntime,
    proxy: Proxy,
    image: ImageRef,
    ids: IdStream,
    status: watch::Receiver<AgentStatus>,
    agent: JoinHandle<()>,
}

fn direct() -> DockerRuntime {
    let socket = DockerSocket::resolve(None).expect("DOCKER_HOST names a socket");
    DockerRuntime::new(DockerConfig { socket, ..DockerConfig::default() })
}

impl Node {
    /// With an agent that runs, and sweeps every two seconds.
    async fn started() -> Self {
        static DEMO: OnceCell<PathBuf> = OnceCell::const_new();
        let demo =
            DEMO.get_or_init(async || build_demo_server().await.expect("the demo server builds")).await;
        let env = SystemEnv::shared();
        let engine = direct();
        engine.info().await.expect("these tests need a Docker Engine");
        let mut ids = IdStream::seeded(env.random_u64());
        let server = Server::seeded(ids.next_u64());
        let image: ImageRef = format!("orch-test/{}:1", server.cluster).parse().unwrap();
        import_demo_image(&engine, demo, &image, "1").await.expect("the image is imported");
        let proxy = Proxy::start(&DockerSocket::resolve(None).unwrap());
        let runtime = DockerRuntime::new(DockerConfig { socket: proxy.socket(), ..DockerConfig::default() });
        let mut config = AgentConfig::new("a".parse().unwrap(), "127.0.0.1", Resources::new(2000, 1 << 30));
        config.token = Some(Secret::new("token".to_owned()));
        config.sweep_interval = Duration::from_secs(2);
        let agent = Agent::builder(env, Arc::clone(&server) as _, Arc::new(runtime), config)
            .cache(Arc::new(MemoryCache::default()))
            .key(Arc::new(NodeKey::generate().unwrap()))
            .build();
        let status = agent.status();
        let agent = tokio::spawn(agent.run(CancellationToken::new()));
        Self { server, engine, proxy, image, ids, status, agent }
    }

    fn owner(&self) -> Owner {
        Owner { cluster: self.server.cluster, node: self.server.node }
    }

    /// Has a task wanted.
    fn put(&mut self, change: impl FnOnce(&mut DesiredTask)) -> TaskId {
        let mut template = template();
        template.image = self.image.clone();
        template.stop = StopPolicy { grace: Duration::from_secs(5), ..StopPolicy::default() };
        let mut task = DesiredTask {
            id: self.ids.next(),
            namespace: Namespace::default_namespace(),
            service: self.ids.next::<ServiceId>(),
            service_name: "web".parse().unwrap(),
            slot: Slot(1),
            version: Version(1),
            digest: template.digest(),
            desired: DesiredStatus::Running,
            attempt: Attempt::FIRST,
            template,
            image: None,
            prepare: None,
            ports: Vec::new(),
        };
        change(&mut task);
        task.digest = task.template.digest();
        let id = task.id;
        self.server.put(task);
        id
    }

    async fn runs(&mut self, change: impl FnOnce(&mut DesiredTask)) -> TaskId {
        let task = self.put(change);
        self.until("the task runs", async |node| node.server.status(task) == "running").await;
        task
    }

    async fn containers(&self) -> Vec<ObservedContainer> {
        self.engine.list(&self.owner()).await.expect("the engine lists")
    }

    /// The containers that run, with their attempts.
    async fn running(&self) -> Vec<(ContainerId, u32)> {
        let runs = |found: &ObservedContainer| matches!(found.state, ContainerState::Running { .. });
        let found = self.containers().await.into_iter().filter(runs);
        found.map(|found| (found.id, found.labels.attempt.0)).collect()
    }

    async fn until(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self).await {
            assert!(Instant::now() < end, "not in time: {what}\n{:#?}", self.containers().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Node {
    /// Works while a test panics: on a thread and a tokio of its own.
    fn drop(&mut self) {
        self.agent.abort();
        let (owner, image) = (self.owner(), self.image.clone());
        let work = move || {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
            tokio.block_on(async move {
                let engine = direct();
                let end = Instant::now() + PATIENCE;
                loop {
                    // What the agent was about when it was dropped may come to its end a moment later: a create holds the
                    // image, and a removal is not begun twice.
                    let mut gone = true;
                    for container in engine.list(&owner).await.expect("the engine lists") {
                        gone &= engine.remove(&container.id).await.is_ok();
                    }
                    if gone && engine.remove_image(&image).await.is_ok() {
                        return;
                    }
                    assert!(Instant::now() < end, "containers or the image of the test are left");
                }
            });
        };
        let done = std::thread::spawn(work).join();
        if !std::thread::panicking() {
            done.expect("the test cleans up");
        }
    }
}

/// M45: an engine that is overloaded makes a container and answers 500: it is adopted, and stays the only one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_although_the_answer_was_500_is_adopted() {
    let mut node = Node::started().await;
    node.proxy.next("POST", "/containers/create", Trouble::AfterDoing);
    node.proxy.next("POST", "/start", Trouble::AfterDoing);
    node.runs(|_| ()).await;
    assert!(node.proxy.is_done());
    let found = node.containers().await;
    assert_eq!((found.len(), node.running().await.len()), (1, 1), "{found:?}");
    assert_eq!(found[0].labels.attempt, Attempt::FIRST);
}

/// M43: an engine that cannot be reached is no death: states freeze, and nothing is started beside what runs on.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_no_death_of_what_it_runs() {
    let mut node = Node::started().await;
    let task = node.runs(|_| ()).await;
    let before = node.running().await;
    node.proxy.away(true);
    node.until("it is noticed", async |node| !node.status.borrow().runtime_reachable).await;
    let reports = node.server.reports();
    assert_eq!((node.server.reports(), node.server.status(task)), (reports, "running"));
    node.proxy.away(false);
    node.until("it is back", async |node| node.status.borrow().runtime_reachable).await;
    assert_eq!((node.running().await, node.containers().await.len()), (before, 1));
    assert_eq!(node.server.reports(), reports, "nothing happened, and nothing is said");
}

/// M46: a death that the event stream loses is found by the sweep.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_the_events_lost_is_found_by_the_sweep() {
    let node = {
        let mut node = Node::started().await;
        node.proxy.eat_deaths();
        node.proxy.away(true); // the stream that was open knows nothing of that yet
        node.until("it is noticed", async |node| !node.status.borrow().runtime_reachable).await;
        node.proxy.away(false);
        node.runs(|_| ()).await;
        node
    };
    let (victim, _) = node.running().await.remove(0);
    node.engine.kill(&victim).await.unwrap();
    node.until("the next attempt runs", async |node| {
        node.running().await.first().is_some_and(|(_, attempt)| *attempt == 2)
    })
    .await;
}

/// M47: a kill that is not ours reads so; the death is known by its event, with its code.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_by_someone_else_is_told_from_ours() {
    let mut node = Node::started().await;
    let task = node.runs(|_| ()).await;
    let (victim, _) = node.running().await.remove(0);
    node.engine.kill(&victim).await.unwrap();
    let attempt = |node: &Node| node.server.said(task).and_then(|said| said.attempt) == Some(Attempt(2));
    node.until("it is said to run again", async |node| {
        attempt(node) && node.server.status(task) == "running"
    })
    .await;
    let exit = node.server.said(task).unwrap().last_exit.unwrap();
    assert_eq!(exit.describe(), "exit 137 (SIGKILL), not by orch");
    assert!(exit.started_at.is_some_and(|started| started <= exit.at), "{exit:?}");
    node.server.change(task, |task| task.desired = DesiredStatus::Stopped);
    node.until("it is stopped", async |node| node.server.status(task) == "stopped").await;
    let TaskStatus::Stopped(Some(exit)) = node.server.said(task).unwrap().status else { panic!() };
    assert!(exit.by_us && exit.describe().ends_with("stopped by orch"), "{exit:?}");
}

/// M51: a port that the engine holds for nobody, after a crash of its, is free a moment later; one that stays taken ends
/// the task, with the engine's words.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_for_a_moment_is_tried_again_and_one_that_stays_taken_is_said() {
    let taken = || {
        let words = "driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:30080 failed: \
                     port is already allocated";
        Trouble::Refused(words.to_owned())
    };
    let mut node = Node::started().await;
    node.proxy.next("POST", "/start", taken());
    node.proxy.next("POST", "/start", taken());
    node.runs(|_| ()).await;
    assert!(node.proxy.is_done());
    for _ in 0..16 {
        node.proxy.next("POST", "/start", taken());
    }
    let task = node.put(|_| ());
    node.until("it is given up", async |node| node.server.status(task) == "failed").await;
    let TaskStatus::Failed(failure) = node.server.said(task).unwrap().status else { panic!() };
    assert_eq!(failure.kind, FailureKind::Port);
    assert!(failure.reason.contains("port is already allocated"), "{}", failure.reason);
}

/// M44: a start that hangs delays its own task alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_hangs_delays_its_own_task_alone() {
    let mut node = Node::started().await;
    node.proxy.next("POST", "/start", Trouble::Hangs);
    let stuck = node.put(|_| ());
    node.until("the start hangs", async |node| node.proxy.is_done()).await;
    node.runs(|_| ()).await;
    assert_eq!(node.server.status(stuck), "created");
    assert!(node.status.borrow().runtime_reachable);
}

/// M56: what ended while the engine was away is started again at once, as an event of the node: it is not counted.
#[tokio::test(flavor = "multi_thread")]
async fn what_ended_with_its_engine_is_restarted_and_not_counted() {
    let mut node = Node::started().await;
    let task = node.runs(|task| task.template.restart.max_attempts = Some(2)).await;
    for attempt in 2..=4 {
        node.proxy.away(true);
        node.until("it is noticed", async |node| !node.status.borrow().runtime_reachable).await;
        let (victim, _) = node.running().await.remove(0);
        node.engine.kill(&victim).await.unwrap();
        node.proxy.away(false);
        node.until("the next attempt runs", async |node| {
            node.server.said(task).and_then(|said| said.attempt) == Some(Attempt(attempt))
                && node.server.status(task) == "running"
        })
        .await;
    }
}

/// M57: a foreign container beside ours is as it was, whatever happens to ours: one without labels, and one of another
/// cluster.
#[tokio::test(flavor = "multi_thread")]
async fn containers_of_others_are_never_touched() {
    let other = {
        let mut node = Node::started().await;
        node.runs(|_| ()).await;
        node.agent.abort();
        node
    };
    let before = other.containers().await;
    let mut node = Node::started().await;
    let task = node.runs(|_| ()).await;
    let (victim, _) = node.running().await.remove(0);
    node.engine.kill(&victim).await.unwrap();
    node.until("the next attempt runs", async |node| {
        node.running().await.first().is_some_and(|(_, attempt)| *attempt == 2)
    })
    .await;
    node.server.drop_task(task);
    node.until("all of it is removed", async |node| node.containers().await.is_empty()).await;
    assert_eq!(other.containers().await, before);
}
