//! A whole cluster in this process on the real engine: control plane on SQLite, HTTP server, one agent.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use orch_agent::AgentConfig;
use orch_client::Client;
use orch_core::api::endpoint::{CreateService, DeleteService, Nothing};
use orch_core::api::service::SpecRequest;
use orch_core::node::Resources;
use orch_core::runtime::ContainerLabels;
use orch_core::service::ImageRef;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::{build_demo_server, demo_image, import_demo_image};
use orch_server::local::LocalCluster;
use orch_store::StoreUrl;
use serde_json::json;

use crate::engine::{Engine, remove_labelled};
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
    pub(crate) async fn start() -> anyhow::Result<Self> {
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
        let config = AgentConfig::new("bench".parse()?, "127.0.0.1", Resources::new(cores * 1_000, 64 << 30));
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

    /// Posts a service of the demo image; answers its id. Its containers have no ports and no health check.
    pub(crate) async fn post(&self, name: &str, replicas: u32, restart: &str) -> anyhow::Result<String> {
        let share = json!({ "cpu": CPU_MILLIS, "memory": MEMORY });
        let spec = serde_json::from_value(json!({
            "name": name,
            "image": self.image.to_string(),
            "replicas": replicas,
            "resource_requirements": { "requests": share, "limits": share },
            "restart_policy": { "condition": restart },
            "stop_signal": "SIGKILL",
        }))?;
        let body = SpecRequest { spec };
        Ok(self.client.call::<CreateService>(&[], &Nothing {}, &body).await?.service.id)
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
pub(crate) fn on_cluster<T>(work: impl AsyncFnOnce(&Cluster) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let cluster = Cluster::start().await?;
        let done = work(&cluster).await;
        let removed = cluster.remove().await;
        let done = done?;
        removed.map(|()| done)
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    answer
}

/// Ends with an error once somebody presses Ctrl-C.
pub(crate) async fn interruptible<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        done = work => done,
    }
}
