//! # orch-agent — one node's share of an orch cluster
//!
//! An [`Agent`] makes it so on its node: it takes what a control plane wants to run here (over any
//! [`AgentApi`]) and what a [`ContainerRuntime`] says is there, and brings the second to the first. The decisions are
//! [`orch_core::converge`]; this crate carries them out.
//!
//! - The desired set is the truth, the runtime is the fact. After any crash the agent lists its containers, adopts those
//!   that should be there, and removes those that should not.
//! - It listens to the runtime's events, so a container's death is known at once; a slow sweep finds what events missed.
//! - Each task is a state machine of its own. A slow pull or stop delays nothing else, least of all the heartbeat.
//! - The control plane may be away as long as it likes: containers run on, and are restarted by their policy.
//! - An identity that is lost is got back by the node's key, without touching a container. A *revoked* one is not.
//!
//! It is not so that the agent decides what should run, that it keeps credentials on disk, or that it touches containers
//! that are not of its own cluster and node.
//!
//! All parts of an agent live in the one future that [`Agent::run`] returns: dropping it is a crash, and leaves nothing
//! behind but what the runtime runs.
#![forbid(unsafe_code)]

pub mod cache;
mod conductor;
pub mod config;
mod contact;
mod credential;
mod enroll;
mod exec_check;
mod facts;
mod former;
mod heartbeat;
pub mod images;
pub mod machine;
pub mod node_key;
mod poll;
pub mod probe;
mod report;
mod retry;
pub mod server_pin;
mod shared;
pub mod status;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use orch_core::agent::{AgentApi, Heartbeat};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::{BootId, IdStream};
use orch_core::runtime::ContainerRuntime;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use cache::{Cache, FileCache, MemoryCache, Remembered};
pub use config::{AgentConfig, NodePolicy};
pub use images::ImageCleanup;
pub use node_key::{NodeKey, NodeKeyError, NodeSigner};
pub use probe::{NetProber, ProbeTarget, Prober};
pub use server_pin::PinFile;
pub use status::AgentStatus;

use retry::Retry;
use shared::{Goal, Shared};

/// Streams that may wait to be opened.
const STREAM_QUEUE: usize = 64;

/// An agent, ready to run.
pub struct Agent {
    shared: Arc<Shared>,
}

/// Puts an [`Agent`] together.
pub struct AgentBuilder {
    env: SharedEnv,
    api: Arc<dyn AgentApi>,
    runtime: Arc<dyn ContainerRuntime>,
    config: AgentConfig,
    prober: Arc<dyn Prober>,
    cache: Arc<dyn Cache>,
    key: Option<Arc<dyn NodeSigner>>,
}

impl Agent {
    /// An agent of these parts. Without more it has no node key, and remembers nothing once its process ends.
    #[must_use]
    pub fn builder(
        env: SharedEnv,
        api: Arc<dyn AgentApi>,
        runtime: Arc<dyn ContainerRuntime>,
        config: AgentConfig,
    ) -> AgentBuilder {
        AgentBuilder {
            env,
            api,
            runtime,
            config,
            prober: Arc::new(NetProber),
            cache: Arc::new(MemoryCache::default()),
            key: None,
        }
    }

    /// How the agent is, now and whenever that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<AgentStatus> {
        self.shared.status.subscribe()
    }

    /// Runs until `stop`, then says its last reports and goodbye. Containers run on: an upgrade moves nothing.
    ///
    /// Dropping the future instead is a crash, from which the next agent recovers.
    pub async fn run(self, stop: CancellationToken) {
        let shared = self.shared;
        if let Some(remembered) = shared.cache.load().await {
            shared.streaks.send_replace(remembered.streaks);
            shared.images.send_replace(remembered.images);
            let desired = Some(remembered.desired);
            let (revoked, former) = (remembered.revoked, remembered.former);
            shared.goal.send_replace(Goal { desired, revoked, former });
        }
        let (streams, requests) = mpsc::channel(STREAM_QUEUE);
        {
            let parts = async {
                tokio::join!(
                    Box::pin(enroll::run(&shared)),
                    Box::pin(facts::run(&shared)),
                    Box::pin(poll::run(&shared, streams)),
                    Box::pin(conductor::Conductor::new(Arc::clone(&shared)).run()),
                    Box::pin(report::run(&shared)),
                    Box::pin(streams::run(&shared, requests)),
                    Box::pin(remember(&shared)),
                    Box::pin(former::run(&shared)),
                    Box::pin(images::run(&shared)),
                )
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = parts => {}
            }
        }
        let session = shared.session.borrow().clone();
        if let Some(session) = session {
            let goodbye = async {
                report::flush(&shared, &session).await;
                let heartbeat = Heartbeat { shutdown: true, ..Heartbeat::default() };
                heartbeat::send(&shared, &session, heartbeat).await
            };
            tokio::select! {
                biased;
                said = goodbye => match said {
                    Ok(_) => tracing::info!("said goodbye; the containers run on"),
                    Err(error) => tracing::warn!(error = %retry::chain(&error), "could not say goodbye"),
                },
                () = shared.env.sleep(shared.config.shutdown_timeout) => {
                    tracing::warn!("the control plane did not answer the goodbye in time");
                }
            }
        }
    }
}

impl AgentBuilder {
    /// How health is probed, if not over the network.
    #[must_use]
    pub fn prober(mut self, prober: Arc<dyn Prober>) -> Self {
        self.prober = prober;
        self
    }

    /// What outlives the process.
    #[must_use]
    pub fn cache(mut self, cache: Arc<dyn Cache>) -> Self {
        self.cache = cache;
        self
    }

    /// The node's key.
    #[must_use]
    pub fn key(mut self, key: Arc<dyn NodeSigner>) -> Self {
        self.key = Some(key);
        self
    }

    /// The agent.
    #[must_use]
    pub fn build(self) -> Agent {
        let boot: BootId = IdStream::seeded(self.env.random_u64()).next();
        let status = AgentStatus { runtime_reachable: true, ..AgentStatus::default() };
        Agent {
            shared: Arc::new(Shared {
                env: self.env,
                api: self.api,
                runtime: self.runtime,
                prober: self.prober,
                cache: self.cache,
                key: self.key,
                config: self.config,
                boot,
                session: watch::Sender::new(None),
                facts: watch::Sender::new(None),
                goal: watch::Sender::new(Goal::default()),
                streaks: watch::Sender::new(BTreeMap::new()),
                images: watch::Sender::new(images::Ledger::default()),
                outbox: report::Outbox::default(),
                poll_again: tokio::sync::Notify::new(),
                engine_away: watch::Sender::new(None),
                heard: watch::Sender::new(None),
                status: watch::Sender::new(status),
            }),
        }
    }
}

/// Keeps what should outlive the process, whenever it changes.
async fn remember(shared: &Shared) {
    let mut goal = shared.goal.subscribe();
    goal.mark_changed(); // the first poll may have been answered before this was first polled
    let mut streaks = shared.streaks.subscribe();
    let mut images = shared.images.subscribe();
    let mut retry = Retry::new("writing the cache");
    loop {
        tokio::select! {
            biased;
            Ok(()) = goal.changed() => {}
            Ok(()) = streaks.changed() => {}
            Ok(()) = images.changed() => {}
        }
        let Goal { desired, revoked, former } = goal.borrow_and_update().clone();
        let Some(desired) = desired else { continue };
        let streaks = streaks.borrow_and_update().clone();
        let images = images.borrow_and_update().clone();
        match shared.cache.save(&Remembered { desired, revoked, former, streaks, images }).await {
            Ok(()) => retry.worked(),
            Err(error) => {
                let wait = retry.failed(&shared.env, &error, None);
                shared.env.sleep(wait).await;
                goal.mark_changed();
            }
        }
    }
}
