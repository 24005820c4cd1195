//! A node to test on: runtime, control plane, what outlives the agent's process, and the agent itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orch_agent::{Agent, AgentConfig, AgentStatus, MemoryCache, NodeKey, ProbeTarget, Prober};
use orch_core::agent::DesiredTask;
use orch_core::converge::ProbeOutcome;
use orch_core::env::{SharedEnv, SystemEnv};
use orch_core::id::{IdStream, ServiceId, TaskId};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::runtime::{ContainerLabels, ContainerState};
use orch_core::secret::Secret;
use orch_core::service::{RestartPolicy, TaskTemplate, Version};
use orch_core::task::{Attempt, DesiredStatus, Slot};
use orch_core::testing::FakeRuntime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Server;

pub(crate) struct Node {
    env: SharedEnv,
    pub(crate) server: Arc<Server>,
    pub(crate) runtime: FakeRuntime,
    pub(crate) prober: Arc<Answers>,
    cache: Arc<MemoryCache>,
    key: Arc<NodeKey>,
    agent: Option<Running>,
    seed: AtomicU64,
}

struct Running {
    handle: JoinHandle<()>,
    stop: CancellationToken,
    status: watch::Receiver<AgentStatus>,
}

/// A prober that answers what the test says.
#[derive(Default)]
pub(crate) struct Answers {
    serves: Mutex<bool>,
    pub(crate) asked: AtomicU64,
}

impl Answers {
    pub(crate) fn serve(&self, serves: bool) {
        *self.serves.lock().unwrap() = serves;
    }
}

#[async_trait]
impl Prober for Answers {
    async fn probe(&self, _target: &ProbeTarget) -> ProbeOutcome {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if *self.serves.lock().unwrap() {
            ProbeOutcome::Success
        } else {
            ProbeOutcome::Failure("connection refused".to_owned())
        }
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        let env = SystemEnv::shared();
        Self {
            runtime: FakeRuntime::new(Arc::clone(&env)),
            env,
            server: Server::new(),
            prober: Arc::default(),
            cache: Arc::default(),
            key: Arc::new(NodeKey::generate().unwrap()),
            agent: None,
            seed: AtomicU64::new(100),
        }
    }

    /// With an agent that runs.
    pub(crate) fn started() -> Self {
        let mut node = Self::new();
        node.start();
        node
    }

    pub(crate) fn start(&mut self) {
        self.start_with(|_| ());
    }

    pub(crate) fn start_with(&mut self, change: impl FnOnce(&mut AgentConfig)) {
        let mut config = AgentConfig::new("a".parse().unwrap(), "127.0.0.1", Resources::new(2000, 1 << 30));
        config.token = Some(Secret::new("token".to_owned()));
        change(&mut config);
        let api = Arc::clone(&self.server);
        let agent = Agent::builder(Arc::clone(&self.env), api, Arc::new(self.runtime.clone()), config)
            .prober(Arc::clone(&self.prober) as _)
            .cache(Arc::clone(&self.cache) as _)
            .key(Arc::clone(&self.key) as _)
            .build();
        let (stop, status) = (CancellationToken::new(), agent.status());
        let handle = tokio::spawn(agent.run(stop.clone()));
        self.agent = Some(Running { handle, stop, status });
    }

    /// Kill -9: all that the agent was doing is dropped where it stands.
    pub(crate) async fn crash(&mut self) {
        let running = self.agent.take().unwrap();
        running.handle.abort();
        assert!(running.handle.await.unwrap_err().is_cancelled());
    }

    /// SIGTERM.
    pub(crate) async fn stop(&mut self) {
        let running = self.agent.take().unwrap();
        running.stop.cancel();
        running.handle.await.unwrap();
    }

    pub(crate) fn status(&self) -> AgentStatus {
        self.agent.as_ref().unwrap().status.borrow().clone()
    }

    /// A task that is wanted here, as the control plane would put it.
    pub(crate) fn task(&self, change: impl FnOnce(&mut DesiredTask)) -> DesiredTask {
        let mut ids = IdStream::seeded(self.seed.fetch_add(1, Ordering::Relaxed));
        let template = template();
        let mut task = DesiredTask {
            id: ids.next(),
            namespace: Namespace::default_namespace(),
            service: ids.next::<ServiceId>(),
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
        task
    }

    /// Deploys a task and waits until it is said to run.
    pub(crate) async fn runs(&self, change: impl FnOnce(&mut DesiredTask)) -> TaskId {
        let task = self.task(change);
        let id = task.id;
        self.server.put(task);
        self.until("the task runs", || self.server.status(id) == "running").await;
        id
    }

    /// The labels of a container of this node.
    pub(crate) fn labels(&self, task: &DesiredTask, attempt: u32) -> ContainerLabels {
        ContainerLabels {
            cluster: self.server.cluster,
            node: self.server.node,
            service: task.service,
            task: task.id,
            attempt: Attempt(attempt),
            version: task.version,
            digest: task.digest,
            restart: RestartPolicy::default(),
            stop: task.template.stop.clone(),
        }
    }

    /// How many containers of the task run.
    pub(crate) fn running(&self, task: TaskId) -> usize {
        let runs = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        self.runtime.of_task(task).iter().filter(|container| runs(&container.state)).count()
    }

    /// Lets (paused) time pass until something holds; fails after two minutes of it.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn() -> bool) -> Duration {
        let begun = tokio::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(120), "not within two minutes: {what}\n{self:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        begun.elapsed()
    }

    /// Lets (paused) time pass.
    pub(crate) async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

pub(crate) fn template() -> TaskTemplate {
    TaskTemplate::new("web:1".parse().unwrap())
}
