//! [`LocalNode`]: an agent in the process of its control plane, with no socket between them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use orch_agent::{Agent, AgentConfig, AgentStatus, FileCache, NodeKey, NodeKeyError};
use orch_core::control_plane::{AgentConnection, ControlPlane};
use orch_core::env::SharedEnv;
use orch_core::name::NodeName;
use orch_core::runtime::{ContainerRuntime, Owner, RuntimeError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An agent that runs in this process, over whatever runtime.
pub struct LocalNode {
    name: NodeName,
    control: ControlPlane,
    runtime: Arc<dyn ContainerRuntime>,
    status: watch::Receiver<AgentStatus>,
    agent: JoinHandle<()>,
    stop: CancellationToken,
}

impl LocalNode {
    /// Starts the agent. With a folder its key and what it should run are kept there, so that a later process goes on where this
    /// one ended; without one, both end with the process. A runtime that does not answer is no error: the agent goes on trying.
    ///
    /// # Errors
    /// The node's key cannot be read or made.
    pub fn start(
        control: &ControlPlane,
        env: SharedEnv,
        config: AgentConfig,
        runtime: Arc<dyn ContainerRuntime>,
        folder: Option<&Path>,
    ) -> Result<Self, NodeKeyError> {
        let name = config.name.clone();
        let api = control.agent_api(AgentConnection::default());
        let mut builder = Agent::builder(env, api, Arc::clone(&runtime), config);
        builder = match folder {
            None => builder.key(Arc::new(NodeKey::generate()?)),
            Some(folder) => {
                let key = NodeKey::load_or_create(&folder.join(format!("{name}.key")))?;
                let cache = FileCache::new(folder.join(format!("{name}.json")));
                builder.key(Arc::new(key)).cache(Arc::new(cache))
            }
        };
        let agent = builder.build();
        let status = agent.status();
        let stop = CancellationToken::new();
        let agent = tokio::spawn(agent.run(stop.clone()));
        Ok(Self { name, control: control.clone(), runtime, status, agent, stop })
    }

    /// The node's name.
    #[must_use]
    pub const fn name(&self) -> &NodeName {
        &self.name
    }

    /// Whose containers are this node's; `None` before it has registered.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let image = self.control.image();
        image.node_named(&self.name).map(|node| Owner { cluster: image.id(), node: node.id })
    }

    /// Waits until the control plane has taken the node in; `false` where that was not so in time.
    pub async fn registered(&self, within: Duration) -> bool {
        let mut status = self.status.clone();
        let registered = status.wait_for(|status| status.registered);
        matches!(tokio::time::timeout(within, registered).await, Ok(Ok(_)))
    }

    /// Ends the agent, which says goodbye. Its containers run on.
    pub async fn stop(self) {
        self.end_agent().await;
    }

    /// Ends the agent and removes the containers of its node; answers how many. To be called while the control plane still answers.
    ///
    /// # Errors
    /// The runtime did not remove all of them.
    pub async fn remove(self) -> Result<usize, RuntimeError> {
        let (runtime, owner) = (Arc::clone(&self.runtime), self.owner());
        self.end_agent().await;
        match owner {
            Some(owner) => remove_all(&*runtime, &owner).await,
            None => Ok(0),
        }
    }

    async fn end_agent(self) {
        self.stop.cancel();
        if let Err(error) = self.agent.await {
            tracing::error!(%error, node = %self.name, "the agent ended badly");
        }
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
