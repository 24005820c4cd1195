//! A whole cluster in this process on the real engine: control plane on SQLite, HTTP server, one agent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use orch_agent::AgentConfig;
use orch_client::Client;
use orch_core::api::apply::ApplyQuery;
use orch_core::api::endpoint::{CreateService, DeleteService, Nothing, UpdateService};
use orch_core::api::service::SpecRequest;
use orch_core::node::Resources;
use orch_core::runtime::ContainerLabels;
use orch_core::service::{ImageRef, Version};
use orch_core::task::{Task, TaskStatus};
use orch_core::time::Timestamp;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::{build_demo_server, demo_image, import_demo_image};
use orch_server::local::LocalCluster;
use orch_store::StoreUrl;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::{Engine, remove_labelled};
use crate::report::now;
use crate::timed::Timed;

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<Timed>,
    pub(crate) image: ImageRef,
    /// Containers that the agent creates and starts at the same time.
    pub(crate) start_concurrency: usize,
    local: LocalCluster,
    docker: DockerRuntime,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// `start_concurrency`: containers that are created and started at the same time; `None`: as agents do by default.
    async fn start(start_concurrency: Option<usize>) -> anyhow::Result<Self> {
        let program = build_demo_server().await.context("the demo's web server was not built")?;
        let folder = tempfile::tempdir()?;
        let docker = DockerRuntime::new(DockerConfig {
            socket: DockerSocket::resolve(None)?,
            secrets_dir: folder.path().join("secrets"),
            ..DockerConfig::default()
        });
        // A name of our own: whoever shows the demo on this machine meanwhile keeps his.
        let image = demo_image(&format!("bench-{}", std::process::id()));
        import_demo_image(&docker, &program, &image, "bench").await?;

        let store = orch_store::open(&StoreUrl::Sqlite(folder.path().join("bench.db"))).await?;
        let runtime = Arc::new(Timed::new(Arc::new(docker.clone())));
        let cores = std::thread::available_parallelism()?.get() as u64;
        let mut config =
            AgentConfig::new("bench".parse()?, "127.0.0.1", Resources::new(cores * 1_000, 64 << 30));
        config.start_concurrency = start_concurrency.unwrap_or(config.start_concurrency);
        let start_concurrency = config.start_concurrency;
        let local = LocalCluster::builder().store(store).folder(folder.path()).node(config, runtime.clone());
        let local = match local.start().await {
            Ok(local) => local,
            Err(error) => {
                docker.remove_image(&image).await?;
                return Err(error.into());
            }
        };
        let client = Client::builder().server(local.url()).build()?;
        Ok(Self { client, runtime, image, start_concurrency, local, docker, folder })
    }

    /// The label that all containers of this cluster bear.
    pub(crate) fn label(&self) -> String {
        format!("{}={}", ContainerLabels::CLUSTER, self.local.control().image().id())
    }

    /// A service of the demo image. Its containers have no ports and no health check.
    pub(crate) fn spec(&self, name: &str, replicas: u32, restart: &str) -> Value {
        let share = json!({ "cpu": CPU_MILLIS, "memory": MEMORY });
        json!({
            "name": name,
            "image": self.image.to_string(),
            "replicas": replicas,
            "resource_requirements": { "requests": share, "limits": share },
            "restart_policy": { "condition": restart },
            "stop_signal": "SIGKILL",
        })
    }

    /// Posts such a service; answers its id.
    pub(crate) async fn post(&self, name: &str, replicas: u32, restart: &str) -> anyhow::Result<String> {
        self.create(self.spec(name, replicas, restart)).await
    }

    /// Posts a service; answers its id.
    pub(crate) async fn create(&self, spec: Value) -> anyhow::Result<String> {
        let body = SpecRequest { spec: serde_json::from_value(spec)? };
        Ok(self.client.call::<CreateService>(&[], &Nothing {}, &body).await?.service.id)
    }

    /// Changes a service to that.
    pub(crate) async fn update(&self, service: &str, spec: Value) -> anyhow::Result<()> {
        let body = SpecRequest { spec: serde_json::from_value(spec)? };
        self.client.call::<UpdateService>(&[service], &ApplyQuery::default(), &body).await?;
        Ok(())
    }

    /// Whether all there is of a service are so many running tasks of that version. Asked of the control plane: the engine has
    /// enough to do.
    pub(crate) fn all_run(&self, service: &str, version: u32, count: u32) -> bool {
        let image = self.local.control().image();
        let Ok(id) = service.parse() else { return false };
        let there = image.tasks_of_service(id).filter(|task| task.status != TaskStatus::Removed);
        let there: Vec<_> = there.collect();
        let runs = |task: &Task| task.version == Version(version) && task.status.is_running();
        there.len() == count as usize && there.iter().all(|task| runs(task))
    }

    /// Waits until the control plane knows that so many tasks run; answers when.
    pub(crate) async fn reported(&self, count: u32) -> anyhow::Result<Timestamp> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let image = self.local.control().image();
            if image.tasks().filter(|task| task.status.is_running()).count() == count as usize {
                return Ok(now());
            }
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "not all reported after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Deletes a service and waits until its containers are gone.
    pub(crate) async fn delete(&self, service: &str) -> anyhow::Result<()> {
        self.client.call::<DeleteService>(&[service], &Nothing {}, &Nothing {}).await?;
        let label = self.label();
        let gone = async || Ok(Engine::connect().await?.labelled(&label).await?.is_empty());
        until("every container is gone", gone).await
    }

    /// Waits until so many containers run; answers their ids.
    pub(crate) async fn running(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let label = self.label();
        let mut engine = Engine::connect().await?;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let listed = engine.labelled(&label).await?;
            let running: Vec<_> = listed.into_iter().filter(|found| found.state == "running").collect();
            if running.len() == count {
                return Ok(running.into_iter().map(|found| found.id).collect());
            }
            anyhow::ensure!(
                tokio::time::Instant::now() < deadline,
                "{} of {count} containers run after {PATIENCE:?}",
                running.len()
            );
            // Asked rarely: the engine that is measured is the one that answers.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Removes everything that was made, whatever state it is in.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        let label = self.label();
        self.local.stop().await;
        remove_labelled(&label).await?;
        self.docker.remove_image(&self.image).await?;
        self.folder.close()?;
        Ok(())
    }
}

/// What each container is given.
pub(crate) const CPU_MILLIS: u64 = 20;
pub(crate) const MEMORY: u64 = 16 << 20;

/// Looks ten times a second until it is so.
pub(crate) async fn until(what: &str, is: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is().await? {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Does `work` on a cluster and removes it afterwards: after the end, or an error. Where `work` is [`interruptible`] that is so
/// after Ctrl-C, too.
pub(crate) fn on_cluster<T>(
    start_concurrency: Option<usize>,
    work: impl AsyncFnOnce(&Cluster) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let cluster = Cluster::start(start_concurrency).await?;
        let done = work(&cluster).await;
        let removed = cluster.remove().await;
        let done = done?;
        removed.map(|()| done)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    answer
}

/// Ends with an error once somebody presses Ctrl-C or ends the process, so that what was made can be removed.
pub(crate) async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
        done = work => done,
    }
}
