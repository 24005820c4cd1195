//! The world: one server, its disk, five nodes with their agents and engines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orch_agent::{Agent, AgentConfig, AgentStatus, Cache, MemoryCache, NodeKey, Prober};
use orch_auth::{
    enrollment::{EnrollmentChain, OneTimeTokens, StaticToken},
    jwt::NoUserAuth,
    key::ServerKey,
    roles::HierarchicalRoles,
    token::TokenCredentials,
};
use orch_core::agent::AgentApi;
use orch_core::command::CreateEnrollmentToken;
use orch_core::control_plane::{ClusterPolicy, ControlPlane};
use orch_core::env::{Env as _, EnvExt as _, SharedEnv};
use orch_core::id::{ClusterId, EnrollmentTokenId, IdStream};
use orch_core::identity::enrollment_token::{LONGEST_LIFE, MOST_USES};
use orch_core::identity::{
    Authorizer, Enrollment, EnrollmentTokenIssuer as _, Grants, IssuedCredential, Principal, Role, Scope,
    UserIdentity,
};
use orch_core::name::{NodeName, Subject};
use orch_core::node::Resources;
use orch_core::runtime::{ContainerLabels, ContainerState, ObservedContainer};
use orch_core::schedule::{FilterAndScore, Scheduler};
use orch_core::secret::Secret;
use orch_core::service::{RestartPolicy, Version};
use orch_core::store::Store;
use orch_core::task::Attempt;
use orch_core::testing::decide::web_spec;
use orch_core::testing::env::{Actor, Sim};
use orch_core::testing::runtime::{Call, FakeRuntime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apart::Apart;
use crate::checks::Checks;
use crate::disk::Disk;
use crate::door::{Door, Ledger, Who};
use crate::engine::Engine;
use crate::network::{Cut, Exchange, Link};
use crate::planted::{AnyKey, Everybody, FaultyScheduler, FaultyValidator, Planted};

/// The server's actor.
pub const SERVER: Actor = Actor(1);
/// The users' actor.
pub const USER: Actor = Actor(2);
const FIRST_AGENT: u32 = 10;
const FIRST_ENGINE: u32 = 100;
/// The static registration token: every other machine has it, and so may a thief.
const TOKEN: &str = "the registration token of the simulation";

/// The token that every other machine has instead: made by an admin once a server is up, good for as many nodes as one can be, and
/// worth nothing to who wants a name that is taken.
#[must_use]
pub fn one_time_token() -> IssuedCredential {
    OneTimeTokens::new(server_key()).issue_token(one_time_token_id(), None, [17; 32])
}

/// What lets that machine in the first time: every other has the static token.
#[must_use]
pub fn enrolment_token(machine: usize) -> Secret<String> {
    if machine.is_multiple_of(2) { Secret::new(TOKEN.to_owned()) } else { one_time_token().token }
}

fn one_time_token_id() -> EnrollmentTokenId {
    IdStream::seeded(97).next()
}

/// Makes the one-time token, unless it is there. Whatever the disk does, it is tried until it is.
async fn make_one_time_token(control: &ControlPlane, env: &SharedEnv) {
    let admin = UserIdentity::new(Subject::anonymous(), Grants::cluster(Role::Admin));
    while control.image().enrollment_token(one_time_token_id()).is_none() {
        let command = CreateEnrollmentToken {
            id: one_time_token_id(),
            digest: one_time_token().digest,
            node_name: None,
            labels: BTreeMap::new(),
            uses: MOST_USES,
            life: LONGEST_LIFE,
        };
        if let Ok(permit) = control.authorize(Principal::User(admin.clone()), Scope::Cluster)
            && control.execute(permit, command).await.is_err()
        {
            env.sleep(Duration::from_millis(100)).await;
        }
    }
}

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
    /// What is seen at the doors of the servers.
    pub ledger: Ledger,
    /// How many servers were started so far.
    pub boots: u64,
    /// The nodes.
    pub nodes: Vec<SimNode>,
    credential_ttl: Duration,
    /// Nodes that are cut off together.
    pub apart: Option<Apart>,
    /// What is wrong with it.
    pub planted: Option<Planted>,
}

/// A server, while one is up.
pub type ServerSlot = Arc<Mutex<Option<ControlPlane>>>;

/// A machine: its engine goes on while its agent comes and goes.
pub struct SimNode {
    /// Its name.
    pub name: NodeName,
    /// Its engine.
    pub engine: FakeRuntime,
    /// The engine as its agent sees it.
    pub seen: Engine,
    /// What its health checks find.
    pub checks: Arc<Checks>,
    /// Whether its agent is up.
    pub up: bool,
    /// Who its agent is.
    pub actor: Actor,
    stop: CancellationToken,
    status: watch::Receiver<AgentStatus>,
    key: Arc<NodeKey>,
    cache: Arc<dyn Cache>,
}

fn authorizer(planted: Option<Planted>) -> Arc<dyn Authorizer> {
    match planted {
        Some(Planted::Everybody) => Arc::new(Everybody),
        _ => Arc::new(HierarchicalRoles),
    }
}

fn enrollment(key: &ServerKey, planted: Option<Planted>) -> Arc<dyn Enrollment> {
    let inner = EnrollmentChain::new(key.clone())
        .attestor(OneTimeTokens::new(key.clone()))
        .attestor(StaticToken::new(key.clone(), &Secret::new(TOKEN.to_owned())));
    match planted {
        Some(Planted::AnyKey) => Arc::new(AnyKey { inner, keys: Mutex::default() }),
        _ => Arc::new(inner),
    }
}

fn another_cluster() -> ClusterId {
    IdStream::seeded(98).next()
}

/// What a container of another cluster on the same engine bears.
fn foreign() -> ContainerLabels {
    let mut ids = IdStream::seeded(99);
    ContainerLabels {
        cluster: another_cluster(),
        node: ids.next(),
        service: ids.next(),
        task: ids.next(),
        attempt: Attempt::FIRST,
        version: Version(1),
        digest: web_spec("another", 1).template.digest(),
        restart: RestartPolicy::default(),
        stop: Default::default(),
    }
}

fn server_key() -> ServerKey {
    ServerKey::derive(&Secret::new("the server key of the simulation".to_owned())).expect("it is long enough")
}

impl SimNode {
    /// The containers on its engine that are ours.
    #[must_use]
    pub fn containers(&self) -> Vec<ObservedContainer> {
        let mut all = self.engine.containers();
        all.retain(|container| container.labels.cluster != another_cluster());
        all
    }

    /// Whether its agent is of no use until a person starts it: it is down, or was told that its node is revoked.
    #[must_use]
    pub fn needs_a_start(&self) -> bool {
        !self.up || self.status.borrow().revoked
    }

    /// Whether what another cluster runs here is still there.
    #[must_use]
    pub fn has_let_be(&self) -> bool {
        self.engine.containers().iter().any(|container| container.labels.cluster == another_cluster())
    }
}

impl World {
    /// A world with so many nodes, everything up, in which a credential lives so long.
    #[must_use]
    pub fn new(seed: u64, nodes: u32, credential_ttl: Duration, planted: Option<Planted>) -> Self {
        let sim = Sim::seeded(seed);
        let disk = Arc::new(Disk::new(sim.env(SERVER), planted));
        let mut world = Self {
            sim,
            disk,
            exchange: Exchange::default(),
            server: ServerSlot::default(),
            ledger: Ledger::default(),
            boots: 0,
            nodes: Vec::new(),
            credential_ttl,
            apart: None,
            planted,
        };
        world.start_server();
        for at in 0..nodes {
            let env = world.sim.env(Actor(FIRST_ENGINE + at));
            let engine = FakeRuntime::new(env.clone());
            engine.insert("another-clusters", foreign(), ContainerState::Running { since: env.now() });
            world.nodes.push(SimNode {
                name: format!("node-{at}").parse().expect("a node name"),
                seen: Engine::new(engine.clone(), env.clone(), planted),
                engine,
                checks: Arc::new(Checks::new(env)),
                stop: CancellationToken::new(),
                status: watch::Sender::default().subscribe(),
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
    pub fn start_server(&mut self) {
        self.boots += 1;
        let env = self.sim.env(SERVER);
        let (disk, slot, exchange) =
            (Arc::clone(&self.disk), Arc::clone(&self.server), self.exchange.clone());
        let ledger = self.ledger.clone();
        let mut policy = ClusterPolicy::default();
        policy.credential_ttl = self.credential_ttl;
        if self.planted == Some(Planted::NoBrake) {
            policy.mass_silence.more_than_percent = 100;
        }
        let spawn = Arc::clone(&env);
        let scheduler: Arc<dyn Scheduler> = match self.planted {
            Some(planted) => Arc::new(FaultyScheduler(planted)),
            None => Arc::new(FilterAndScore),
        };
        let planted = self.planted;
        orch_core::env::Env::spawn(
            &*spawn,
            Box::pin(async move {
                let key = server_key();
                loop {
                    let store: Arc<dyn Store> = disk.clone();
                    let started = ControlPlane::builder(env.clone(), store)
                        .users(Arc::new(NoUserAuth))
                        .authorizer(authorizer(planted))
                        .credentials(Arc::new(FaultyValidator::new(
                            TokenCredentials::new(key.clone()),
                            planted,
                        )))
                        .enrollment(enrollment(&key, planted))
                        .scheduler(Arc::clone(&scheduler))
                        .policy(policy.clone())
                        .start()
                        .await;
                    if let Ok(control) = started {
                        let truth = TokenCredentials::new(key.clone());
                        let door = Door::new(&control, truth, ledger, Who::Agent);
                        exchange.set_server(Some(Arc::new(door)));
                        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(control.clone());
                        make_one_time_token(&control, &(env as SharedEnv)).await;
                        return;
                    }
                    orch_core::env::EnvExt::sleep(&*env, Duration::from_millis(100)).await;
                }
            }),
        );
    }

    /// The thief's way to the server, if one is up.
    #[must_use]
    pub fn back_door(&self) -> Option<Arc<dyn AgentApi>> {
        let truth = TokenCredentials::new(server_key());
        let door = Door::new(&self.control()?, truth, self.ledger.clone(), Who::Thief);
        Some(Arc::new(door))
    }

    /// Cuts off most of the nodes that the server hears, together; where there are too few, nothing happens.
    pub fn cut_off_most(&mut self, first: u64, until: Duration) {
        let Some(control) = self.control() else { return };
        let Some(apart) = Apart::most(&control, first, until) else { return };
        self.reconnect();
        let image = control.image();
        for node in image.nodes().filter(|node| apart.has(node.id)) {
            self.exchange.cut(&node.name, Cut::Both);
        }
        self.apart = Some(apart);
    }

    /// Cuts one node off; those that are cut off together are so for their time.
    pub fn cut_off(&self, at: usize, cut: Cut) {
        let name = &self.nodes[at].name;
        if self.apart.is_none() || !self.exchange.is_cut(name) {
            self.exchange.cut(name, cut);
        }
    }

    /// No node is cut off.
    pub fn reconnect(&mut self) {
        self.exchange.reconnect();
        self.apart = None;
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
        // One that still says goodbye is gone now.
        self.sim.crash(node.actor);
        node.up = true;
        node.stop = CancellationToken::new();
        let env = self.sim.env(node.actor);
        let link = Link {
            name: node.name.clone(),
            exchange: self.exchange.clone(),
            env: env.clone(),
            server_env: self.sim.env(SERVER),
            planted: self.planted,
            told: Mutex::default(),
        };
        let cpu = if self.planted == Some(Planted::DoubleBooking) { 500 } else { 16_000 };
        let mut config = AgentConfig::new(node.name.clone(), "127.0.0.1", Resources::new(cpu, 64 << 30));
        config.token = Some(enrolment_token(at));
        config.version = "0.3.0".to_owned();
        let agent = Agent::builder(env.clone(), Arc::new(link), Arc::new(node.seen.clone()), config)
            .prober(Arc::clone(&node.checks) as Arc<dyn Prober>)
            .cache(Arc::clone(&node.cache))
            .key(node.key.clone())
            .build();
        node.status = agent.status();
        orch_core::env::Env::spawn(&*env, Box::pin(agent.run(node.stop.clone())));
    }

    /// The agent is told to stop: it says goodbye, and its containers go on.
    pub fn stop_agent(&mut self, at: usize) {
        self.nodes[at].up = false;
        self.nodes[at].stop.cancel();
    }

    /// The machine restarts: no container runs, and its agent is a new process.
    pub fn reboot(&mut self, at: usize) {
        self.crash_agent(at);
        self.nodes[at].engine.restart_engine();
        self.start_agent(at);
    }

    /// The machine's wall clock jumps.
    pub fn step_node_clock(&self, at: usize, seconds: i64) {
        let engine = Actor(FIRST_ENGINE + u32::try_from(at).unwrap_or(0));
        for actor in [self.nodes[at].actor, engine] {
            self.sim.step_wall_clock(actor, seconds * 1_000_000);
        }
    }

    /// The agent's process is gone from one instant to the next; its engine goes on.
    pub fn crash_agent(&mut self, at: usize) {
        self.nodes[at].up = false;
        self.sim.crash(self.nodes[at].actor);
    }

    /// How often each engine was asked to make, start, stop or remove a container.
    #[must_use]
    pub fn container_calls(&self) -> BTreeMap<(usize, Call), usize> {
        let calls = [Call::Create, Call::Start, Call::Stop, Call::Remove];
        let of = |(at, call): (usize, Call)| ((at, call), self.nodes[at].engine.calls(call));
        (0..self.nodes.len()).flat_map(|at| calls.map(|call| (at, call))).map(of).collect()
    }
}
