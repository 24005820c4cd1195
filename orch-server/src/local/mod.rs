//! [`LocalCluster`]: a whole orchestrator in one process, for a program that embeds one, for tests and for demos.

mod node;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use orch_agent::{AgentConfig, NodeKeyError};
use orch_auth::enrollment::{Anybody, EnrollmentChain, OneTimeTokens};
use orch_auth::jwt::NoUserAuth;
use orch_auth::key::ServerKey;
use orch_auth::roles::HierarchicalRoles;
use orch_auth::token::TokenCredentials;
use orch_core::control_plane::{Builder, ControlPlane, StartError};
use orch_core::env::{EnvExt as _, SharedEnv, SystemEnv};
use orch_core::name::NodeName;
use orch_core::runtime::{ContainerRuntime, RuntimeError};
use orch_core::schedule::FilterAndScore;
use orch_core::secret::Secret;
use orch_core::store::{MemoryStore, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use node::LocalNode;

use crate::server::Server;

/// How long a node may take to register.
const REGISTERING: Duration = Duration::from_secs(10);

/// Control plane, HTTP API on loopback, and agents, each over a runtime of your choice, in this process.
///
/// Without more it keeps its state in memory, and whoever reaches its port is an admin: for a machine, or a test, that is
/// yours. [`LocalClusterBuilder::control_plane`] puts other parts in.
///
/// ```
/// use std::sync::Arc;
///
/// use orch_agent::AgentConfig;
/// use orch_core::node::Resources;
/// use orch_runtime::process::{ProcessConfig, ProcessRuntime};
/// use orch_server::local::LocalCluster;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let folder = tempfile::tempdir()?;
/// let runtime = ProcessRuntime::new(ProcessConfig { state_dir: folder.path().to_owned() })?;
/// let node = AgentConfig::new("here".parse()?, "127.0.0.1", Resources::new(2_000, 1 << 30));
/// let cluster = LocalCluster::builder().node(node, Arc::new(runtime)).start().await?;
///
/// // `orch --server` takes this, and so does `orch_client::Client`; `cluster.control()` answers without a socket.
/// assert!(cluster.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(cluster.control().image().nodes().count(), 1);
///
/// cluster.remove().await?; // with all containers; `stop` leaves them running
/// # Ok(())
/// # }
/// ```
pub struct LocalCluster {
    control: ControlPlane,
    address: SocketAddr,
    nodes: Vec<LocalNode>,
    server: JoinHandle<()>,
    stop: CancellationToken,
}

/// Puts a [`LocalCluster`] together.
#[must_use = "a builder does nothing until `start`"]
pub struct LocalClusterBuilder {
    env: SharedEnv,
    store: Arc<dyn Store>,
    secret: Option<Secret<String>>,
    address: SocketAddr,
    folder: Option<PathBuf>,
    nodes: Vec<(AgentConfig, Arc<dyn ContainerRuntime>)>,
    parts: Vec<Box<dyn FnOnce(Builder) -> Builder + Send>>,
}

/// Why a local cluster did not start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum LocalClusterError {
    /// The secret that keys are derived from is too short.
    #[error("the server's secret is not usable")]
    Secret(#[source] orch_core::BoxError),
    /// The control plane.
    #[error("the control plane cannot start")]
    Start(#[from] StartError),
    /// The address.
    #[error("{address} cannot be listened on")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A node's key.
    #[error("the key of node `{node}` cannot be read or made")]
    Key {
        /// Which node.
        node: NodeName,
        /// Why.
        #[source]
        source: NodeKeyError,
    },
    /// A node's agent was not taken in.
    #[error("node `{node}` did not register within {} s", REGISTERING.as_secs())]
    NotRegistered {
        /// Which node.
        node: NodeName,
    },
}

impl LocalCluster {
    /// A cluster without nodes, in memory, on a port of the system's choice.
    pub fn builder() -> LocalClusterBuilder {
        LocalClusterBuilder {
            env: SystemEnv::shared(),
            store: Arc::new(MemoryStore::new()),
            secret: None,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            folder: None,
            nodes: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The control plane, to be asked without a socket.
    #[must_use]
    pub const fn control(&self) -> &ControlPlane {
        &self.control
    }

    /// Where the API is reached: what `orch --server` and a client are told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The nodes, in the order in which they were added.
    #[must_use]
    pub fn nodes(&self) -> &[LocalNode] {
        &self.nodes
    }

    /// Ends agents, API and control plane. The containers run on, for whoever starts on the same store and folder again.
    pub async fn stop(mut self) {
        for node in std::mem::take(&mut self.nodes) {
            node.stop().await;
        }
        self.end().await;
    }

    /// The same, and removes the containers of every node.
    ///
    /// # Errors
    /// A runtime did not remove all of them. All the rest is ended nevertheless.
    pub async fn remove(mut self) -> Result<(), RuntimeError> {
        let mut result = Ok(());
        for node in std::mem::take(&mut self.nodes) {
            result = node.remove().await.map(|_| ()).and(result);
        }
        self.end().await;
        result
    }

    /// The server takes the control plane down with it.
    async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.server.await {
            tracing::error!(%error, "the server ended badly");
        }
    }
}

impl LocalClusterBuilder {
    /// Clocks, tasks, entropy. Default: the system's.
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = env;
        self
    }

    /// Where the state is kept. Default: in memory.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = store;
        self
    }

    /// What the server's keys are derived from: at least 16 bytes, and the same again for a store that is opened again. Default: a
    /// random one.
    pub fn secret(mut self, secret: Secret<String>) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Where the API listens. Default: a free port of 127.0.0.1. Without users of your own, an address that others reach makes
    /// admins of them.
    pub const fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// A folder in which nodes keep their keys and what they should run. Default: nothing is kept.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// One more node. Names must differ.
    pub fn node(mut self, config: AgentConfig, runtime: Arc<dyn ContainerRuntime>) -> Self {
        self.nodes.push((config, runtime));
        self
    }

    /// Changes parts of the control plane, after the defaults are in: everybody is an admin, ours are roles, credentials and
    /// scheduler, nodes need no token.
    pub fn control_plane(mut self, change: impl FnOnce(Builder) -> Builder + Send + 'static) -> Self {
        self.parts.push(Box::new(change));
        self
    }

    /// Starts all of it, and waits until each node is registered.
    ///
    /// # Errors
    /// See [`LocalClusterError`]; nothing is left running then.
    pub async fn start(self) -> Result<LocalCluster, LocalClusterError> {
        let secret = self.secret.unwrap_or_else(|| fresh_secret(&self.env));
        let key = ServerKey::derive(&secret).map_err(|error| LocalClusterError::Secret(error.into()))?;
        let defaults = ControlPlane::builder(self.env.clone(), self.store)
            .users(Arc::new(NoUserAuth))
            .authorizer(Arc::new(HierarchicalRoles))
            .credentials(Arc::new(TokenCredentials::new(key.clone())))
            .enrollment(Arc::new(
                EnrollmentChain::new(key.clone()).attestor(OneTimeTokens::new(key.clone())).attestor(Anybody),
            ))
            .scheduler(Arc::new(FilterAndScore));
        let parts = self.parts.into_iter().fold(defaults, |builder, change| change(builder));
        let control = parts.start().await?;
        let server = match Server::builder(control.clone(), key).bind(self.address).await {
            Ok(server) => server,
            Err(source) => {
                control.shutdown().await;
                return Err(LocalClusterError::Bind { address: self.address, source });
            }
        };
        let (address, stop) = (server.address(), CancellationToken::new());
        let server = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        let mut cluster = LocalCluster { control, address, nodes: Vec::new(), server, stop };
        match cluster.add_all(&self.env, self.nodes, self.folder).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.stop().await;
                Err(error)
            }
        }
    }
}

impl LocalCluster {
    async fn add_all(
        &mut self,
        env: &SharedEnv,
        nodes: Vec<(AgentConfig, Arc<dyn ContainerRuntime>)>,
        folder: Option<PathBuf>,
    ) -> Result<(), LocalClusterError> {
        for (config, runtime) in nodes {
            let name = config.name.clone();
            let node = LocalNode::start(&self.control, env.clone(), config, runtime, folder.as_deref())
                .map_err(|source| LocalClusterError::Key { node: name, source })?;
            self.nodes.push(node);
        }
        for node in &self.nodes {
            if !node.registered(REGISTERING).await {
                return Err(LocalClusterError::NotRegistered { node: node.name().clone() });
            }
        }
        Ok(())
    }
}

/// What lives as long as the process.
pub(crate) fn fresh_secret(env: &SharedEnv) -> Secret<String> {
    Secret::new(env.random32().iter().map(|byte| format!("{byte:02x}")).collect())
}
