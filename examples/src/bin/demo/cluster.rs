//! The whole cluster in one process: control plane on SQLite, HTTP server, agent.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use orch_agent::AgentConfig;
use orch_client::Client;
use orch_core::api::spec::ServiceSpec;
use orch_core::node::Resources;
use orch_core::runtime::{ContainerId, ContainerRuntime, Owner};
use orch_core::service::StopPolicy;
use orch_runtime::docker::{DockerConfig, DockerRuntime};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use orch_runtime::testing::{build_demo_server, demo_image, import_demo_image};
use orch_server::local::LocalCluster;
use orch_store::StoreUrl;

use crate::show::Show;

/// What runs the containers.
enum Engine {
    Docker(DockerRuntime),
    /// There is no usable engine: the server's program, run as it is.
    Processes(String),
}

/// Everything that was started.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) url: String,
    engine: Engine,
    runtime: Arc<dyn ContainerRuntime>,
    owner: Owner,
    local: LocalCluster,
    folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) async fn start(show: &mut Show) -> anyhow::Result<Self> {
        show.chapter(
            "Build the demo's web server, statically, and import it as an image: no registry is asked",
        );
        let began = std::time::Instant::now();
        let program = build_demo_server().await.context("the demo's web server was not built")?;
        let folder = tempfile::Builder::new().prefix("orch-demo-").tempdir()?;
        let (engine, runtime) = engine(&program, folder.path()).await?;
        show.took("build and import two images", began);

        show.chapter("Start a control plane and an agent in this process");
        let began = std::time::Instant::now();
        let store = orch_store::open(&StoreUrl::Sqlite(folder.path().join("orch.db"))).await?;
        let config = AgentConfig::new("demo".parse()?, "127.0.0.1", Resources::new(4_000, 4 << 30));
        let local = LocalCluster::builder().store(store).folder(folder.path());
        let local = local.node(config, Arc::clone(&runtime)).start().await?;
        let url = local.url();
        let client = Client::builder().server(url.clone()).build()?;
        let owner = local.nodes().first().and_then(|node| node.owner()).context("the node is not known")?;
        println!("listening on {url}");
        show.took("start control plane and agent", began);
        Ok(Self { client, url, engine, runtime, owner, local, folder })
    }

    /// The image's name, in that version.
    pub(crate) fn image(&self, version: &str) -> String {
        match &self.engine {
            Engine::Docker(_) => demo_image(version).to_string(),
            Engine::Processes(_) => format!("process/web:{version}"),
        }
    }

    /// Without an engine the program is named by the spec, since there is no image to bring it.
    pub(crate) fn adapt(&self, spec: &mut ServiceSpec) {
        if let Engine::Processes(program) = &self.engine {
            spec.image = self.image("1");
            spec.command = vec![program.clone()];
        }
    }

    /// The containers of this cluster.
    pub(crate) async fn containers(&self) -> anyhow::Result<Vec<ContainerId>> {
        Ok(self.runtime.list(&self.owner).await?.into_iter().map(|container| container.id).collect())
    }

    /// Kills one container, as the engine would be told by someone else.
    pub(crate) async fn kill_one(&self) -> anyhow::Result<ContainerId> {
        let victim = self.containers().await?.into_iter().next().context("there is no container to kill")?;
        match &self.engine {
            Engine::Docker(docker) => docker.kill(&victim).await?,
            Engine::Processes(_) => {
                let at_once = StopPolicy { grace: Duration::ZERO, ..StopPolicy::default() };
                self.runtime.stop(&victim, &at_once).await?;
            }
        }
        Ok(victim)
    }

    /// Looks ten times a second until it is so.
    pub(crate) async fn until(
        &self,
        what: &str,
        within: Duration,
        is: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        while !is().await? {
            anyhow::ensure!(tokio::time::Instant::now() < deadline, "{what}: not within {within:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Removes everything that was made. What a story that was cut off left behind goes, too.
    pub(crate) async fn remove(self, show: &mut Show) -> anyhow::Result<()> {
        show.chapter("Remove everything that was made");
        self.local.remove().await?;
        if let Engine::Docker(docker) = &self.engine {
            for version in ["1", "2"] {
                docker.remove_image(&demo_image(version)).await?;
            }
        }
        self.folder.close()?;
        Ok(())
    }
}

async fn engine(program: &Path, folder: &Path) -> anyhow::Result<(Engine, Arc<dyn ContainerRuntime>)> {
    let docker = DockerRuntime::new(DockerConfig::default());
    match docker.info().await {
        Ok(info) => {
            println!("Docker Engine {} (API {})", info.version, info.api_version.unwrap_or_default());
            for version in ["1", "2"] {
                import_demo_image(&docker, program, &demo_image(version), version).await?;
            }
            Ok((Engine::Docker(docker.clone()), Arc::new(docker)))
        }
        Err(error) => {
            println!("There is no usable Docker Engine here: {error}.");
            println!("Install one (on Debian: apt-get install docker.io), or set DOCKER_HOST to its socket.");
            println!("The same is shown on the process runtime: the web server's program, run as it is.");
            let processes = ProcessRuntime::new(ProcessConfig { state_dir: folder.join("processes") })?;
            Ok((Engine::Processes(program.display().to_string()), Arc::new(processes)))
        }
    }
}
