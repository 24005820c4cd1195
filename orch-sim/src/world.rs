//! The world: one server, its disk, five nodes with their agents and engines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use orch_agent::{Agent, AgentConfig, Cache, MemoryCache, NodeKey, ProbeTarget, Prober};
use orch_auth::{
    enrollment::StaticToken, jwt::NoUserAuth, key::ServerKey, roles::HierarchicalRoles,
    token::TokenCredentials,
};
use orch_core::control_plane::{AgentConnection, ControlPlane};
use orch_core::converge::ProbeOutcome;
use orch_core::name::NodeName;
use orch_core::node::Resources;
use orch_core::schedule::{FilterAndScore, Scheduler};
use orch_core::secret::Secret;
use orch_core::store::Store;
use orch_core::testing::env::{Actor, Sim};
use orch_core::testing::runtime::{Call, FakeRuntime};
use tokio_util::sync::CancellationToken;

use crate::disk::Disk;
use crate::network::{Exchange, Link};
use crate::planted::{FirstNode, Planted};

/// The server's actor.
pub const SERVER: Actor = Actor(1);
/// The users' actor.
pub const USER: Actor = Actor(2);
const FIRST_AGENT: u32 = 10;
const FIRST_ENGINE: u32 = 100;
const TOKEN: &str = "the registration token of the simulation";

/// Everything that runs.
pub struct World {
    /// Executor and time.
    pub sim: Sim,
    /// What outlives the server.
    pub disk: Arc<Disk>,
    /// Between agents and server.
    pub exchange: Exchange,
    /// The server's handle, while it is up.
    pub server: ServerSlot,
    /// The nodes.
    pub nodes: Vec<SimNode>,
    planted: Option<Planted>,
}

/// A server, while one is up.
pub type ServerSlot = Arc<Mutex<Option<ControlPlane>>>;

/// A machine: its engine goes on while its agent comes and goes.
pub struct SimNode {
    /// Its name.
    pub name: NodeName,
    /// Its engine.
    pub engine: FakeRuntime,
    /// Whether its agent is up.
    pub up: bool,
    actor: Actor,
    key: Arc<NodeKey>,
    cache: Arc<dyn Cache>,
}

/// Whatever runs, serves.
struct AlwaysHealthy;

#[async_trait]
impl Prober for AlwaysHealthy {
    async fn probe(&self, _: &ProbeTarget) -> ProbeOutcome {
        ProbeOutcome::Success
    }
}

impl World {
    /// A world with so many nodes, everything up.
    #[must_use]
    pub fn new(seed: u64, nodes: u32, planted: Option<Planted>) -> Self {
        let sim = Sim::seeded(seed);
        let disk = Arc::new(Disk::new(sim.env(SERVER), planted == Some(Planted::LostWrites)));
        let mut world = Self {
            sim,
            disk,
            exchange: Exchange::default(),
            server: ServerSlot::default(),
            nodes: Vec::new(),
            planted,
        };
        world.start_server();
        for at in 0..nodes {
            world.nodes.push(SimNode {
                name: format!("node-{at}").parse().expect("a node name"),
                engine: FakeRuntime::new(world.sim.env(Actor(FIRST_ENGINE + at))),
                up: false,
                actor: Actor(FIRST_AGENT + at),
                key: Arc::new(NodeKey::generate().expect("a key can be made")),
                cache: Arc::new(MemoryCache::default()),
            });
            world.start_agent(at as usize);
        }
        world
    }

    /// The server, if it is up.
    #[must_use]
    pub fn control(&self) -> Option<ControlPlane> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a server on the disk; it comes up once the disk lets it.
    pub fn start_server(&self) {
        let env = self.sim.env(SERVER);
        let (disk, slot, exchange) =
            (Arc::clone(&self.disk), Arc::clone(&self.server), self.exchange.clone());
        let spawn = Arc::clone(&env);
        let scheduler: Arc<dyn Scheduler> = match self.planted {
            Some(Planted::DoubleBooking) => Arc::new(FirstNode),
            _ => Arc::new(FilterAndScore),
        };
        orch_core::env::Env::spawn(
            &*spawn,
            Box::pin(async move {
                let key = ServerKey::derive(&Secret::new("the server key of the simulation".to_owned()))
                    .expect("it is long enough");
                loop {
                    let store: Arc<dyn Store> = disk.clone();
                    let started = ControlPlane::builder(env.clone(), store)
                        .users(Arc::new(NoUserAuth))
                        .authorizer(Arc::new(HierarchicalRoles))
                        .credentials(Arc::new(TokenCredentials::new(key.clone())))
                        .enrollment(Arc::new(StaticToken::with_token(
                            key.clone(),
                            &Secret::new(TOKEN.to_owned()),
                        )))
                        .scheduler(Arc::clone(&scheduler))
                        .start()
                        .await;
                    if let Ok(control) = started {
                        exchange.set_server(Some(control.agent_api(AgentConnection::default())));
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(control);
                        return;
                    }
                    orch_core::env::EnvExt::sleep(&*env, Duration::from_millis(100)).await;
                }
            }),
        );
    }

    /// The server's process is gone from one instant to the next; its disk stays.
    pub fn crash_server(&self) {
        self.exchange.set_server(None);
        let control = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.sim.crash(SERVER);
        drop(control);
    }

    /// Starts a node's agent.
    pub fn start_agent(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.up = true;
        let env = self.sim.env(node.actor);
        let link = Link {
            name: node.name.clone(),
            exchange: self.exchange.clone(),
            env: env.clone(),
            server_env: self.sim.env(SERVER),
            swallows_removals: self.planted == Some(Planted::SwallowedRemovals),
        };
        let cpu = if self.planted == Some(Planted::DoubleBooking) { 500 } else { 16_000 };
        let mut config = AgentConfig::new(node.name.clone(), "127.0.0.1", Resources::new(cpu, 64 << 30));
        config.token = Some(Secret::new(TOKEN.to_owned()));
        config.version = "0.3.0".to_owned();
        let agent = Agent::builder(env.clone(), Arc::new(link), Arc::new(node.engine.clone()), config)
            .prober(Arc::new(AlwaysHealthy))
            .cache(Arc::clone(&node.cache))
            .key(node.key.clone())
            .build();
        orch_core::env::Env::spawn(&*env, Box::pin(agent.run(CancellationToken::new())));
    }

    /// The agent's process is gone from one instant to the next; its engine goes on.
    pub fn crash_agent(&mut self, at: usize) {
        self.nodes[at].up = false;
        self.sim.crash(self.nodes[at].actor);
    }

    /// How often any engine was asked to make, start, stop or remove a container.
    #[must_use]
    pub fn container_calls(&self) -> usize {
        let calls = [Call::Create, Call::Start, Call::Stop, Call::Remove];
        self.nodes.iter().map(|node| calls.iter().map(|call| node.engine.calls(*call)).sum::<usize>()).sum()
    }
}
