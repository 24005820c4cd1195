//! `--dev`: the one node of a throw-away cluster, in the process of its control plane.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use orch_agent::{Agent, AgentConfig, NodeKey, machine};
use orch_core::control_plane::{AgentConnection, ControlPlane};
use orch_core::env::SystemEnv;
use orch_core::name::NodeName;
use orch_core::runtime::{ContainerRuntime, Owner, RuntimeError};
use orch_core::secret::Secret;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket, InvalidDockerHost};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::DevRuntime;

/// How long the end may take to remove containers, all of them together.
const REMOVING: Duration = Duration::from_secs(30);

/// Why there is no node.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The engine that the environment names is none of this machine.
    #[error(transparent)]
    DockerHost(#[from] InvalidDockerHost),
    /// The machine does not say what it has, or has no room for temporary files.
    #[error("the machine cannot be used as a node")]
    Machine(#[from] std::io::Error),
    /// The node's key.
    #[error("the node's key cannot be made")]
    Key(#[from] orch_agent::NodeKeyError),
}

/// An agent that runs here, on this machine's runtime, as the cluster's only node.
pub struct DevNode {
    name: NodeName,
    control: ControlPlane,
    runtime: Arc<dyn ContainerRuntime>,
    /// Of the process runtime: what it wrote goes with it.
    folder: Option<TempDir>,
    agent: JoinHandle<()>,
    stop: CancellationToken,
}

impl DevNode {
    /// Starts the agent. An engine that does not answer is no error: it is said, and the agent goes on trying.
    ///
    /// # Errors
    /// See [`DevError`].
    pub async fn start(
        control: &ControlPlane,
        runtime: DevRuntime,
        token: Option<Secret<String>>,
    ) -> Result<Self, DevError> {
        let (runtime, folder): (Arc<dyn ContainerRuntime>, _) = match runtime {
            DevRuntime::Docker => {
                let socket = DockerSocket::resolve(None)?;
                (Arc::new(DockerRuntime::new(DockerConfig { socket, ..DockerConfig::default() })), None)
            }
            DevRuntime::Process => {
                let folder = tempfile::Builder::new().prefix("orch-dev-").tempdir()?;
                let config = ProcessConfig { state_dir: folder.path().to_owned() };
                (Arc::new(ProcessRuntime::new(config)?), Some(folder))
            }
        };
        Self::over(control, runtime, folder, token).await
    }

    async fn over(
        control: &ControlPlane,
        runtime: Arc<dyn ContainerRuntime>,
        folder: Option<TempDir>,
        token: Option<Secret<String>>,
    ) -> Result<Self, DevError> {
        match runtime.info().await {
            Ok(info) => tracing::info!(runtime = info.kind, version = info.version, "the runtime answers"),
            Err(error) => tracing::warn!(
                %error,
                "the container engine does not answer: start Docker, name its socket in DOCKER_HOST, or use \
                 --runtime process; it is tried again"
            ),
        }
        let name = machine::host_name().and_then(|name| name.parse().ok());
        let name: NodeName = name.unwrap_or_else(|| "local-node".parse().expect("a fit name"));
        let mut config = AgentConfig::new(name.clone(), "127.0.0.1", machine::capacity()?);
        config.token = token;
        let api = control.agent_api(AgentConnection::default());
        let agent = Agent::builder(SystemEnv::shared(), api, Arc::clone(&runtime), config)
            .key(Arc::new(NodeKey::generate()?))
            .build();
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent.run(stop.clone()));
        Ok(Self { name, control: control.clone(), runtime, folder, agent, stop })
    }

    /// The node's name: the host's.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// Ends the agent and removes the containers of its node: nobody would ever come back for them. To be called while the
    /// control plane still answers.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.agent.await {
            tracing::error!(%error, "the agent ended badly");
        }
        let image = self.control.image();
        if let Some(node) = image.node_named(&self.name) {
            let owner = Owner { cluster: image.id(), node: node.id };
            match tokio::time::timeout(REMOVING, remove_all(&*self.runtime, &owner)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(removed)) => {
                    tracing::info!(removed, "the containers of the throw-away cluster are removed")
                }
                Ok(Err(error)) => tracing::error!(
                    %error, cluster = %owner.cluster,
                    "containers of the throw-away cluster may be left"
                ),
                Err(_) => {
                    tracing::error!(cluster = %owner.cluster, "removing containers took too long; some are left")
                }
            }
        }
        drop(self.folder);
    }
}

/// Removes until a list shows none: a call that the agent gave up may have made one more meanwhile.
async fn remove_all(runtime: &dyn ContainerRuntime, owner: &Owner) -> Result<usize, RuntimeError> {
    let mut removed = 0;
    loop {
        let left = runtime.list(owner).await?;
        if left.is_empty() {
            return Ok(removed);
        }
        removed += left.len();
        for result in join_all(left.iter().map(|container| runtime.remove(&container.id))).await {
            result?;
        }
    }
}
