//! `--dev`: the one node of a throw-away cluster, in the process of its control plane.

use std::sync::Arc;
use std::time::Duration;

use orch_agent::{AgentConfig, machine};
use orch_core::control_plane::ControlPlane;
use orch_core::env::SystemEnv;
use orch_core::name::NodeName;
use orch_core::runtime::ContainerRuntime;
use orch_core::secret::Secret;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket, InvalidDockerHost};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use tempfile::TempDir;

use crate::config::DevRuntime;
use crate::local::LocalNode;

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
    node: LocalNode,
    /// Of the process runtime: what it wrote goes with it.
    folder: Option<TempDir>,
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
        let mut config = AgentConfig::new(name, "127.0.0.1", machine::capacity()?);
        config.token = token;
        let node = LocalNode::start(control, SystemEnv::shared(), config, runtime, None)?;
        Ok(Self { node, folder })
    }

    /// The node's name: the host's.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        self.node.name()
    }

    /// Ends the agent and removes the containers of its node: nobody would ever come back for them. To be called while the
    /// control plane still answers.
    pub async fn stop(self) {
        let owner = self.node.owner();
        let cluster = owner.map(|owner| owner.cluster.to_string()).unwrap_or_default();
        match tokio::time::timeout(REMOVING, self.node.remove()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => {
                tracing::info!(removed, "the containers of the throw-away cluster are removed")
            }
            Ok(Err(error)) => {
                tracing::error!(%error, cluster, "containers of the throw-away cluster may be left")
            }
            Err(_) => tracing::error!(cluster, "removing containers took too long; some are left"),
        }
        drop(self.folder);
    }
}
