//! One seed's story: faults and wishes first, then calm, then quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orch_core::deployment::DeploymentStatus;
use orch_core::env::Env as _;
use orch_core::id::{DeploymentId, IdStream};
use orch_core::identity::credential::DEFAULT_TTL;
use orch_core::node::{Node, NodeStatus};
use orch_core::runtime::ContainerId;
use orch_core::task::FailureKind;
use orch_core::testing::env::Actor;
use orch_core::testing::runtime::{Call, FakeRuntime, Fault};

use crate::coverage::Coverage;
use crate::disk::Wear;
use crate::incident::Incident;
use crate::memory::{SharedMemory, remember};
use crate::network::Weather;
use crate::oracle::{self, Oracle};
use crate::picture;
use crate::planted::Planted;
use crate::slots;
use crate::thief::{Attempt, impersonate};
use crate::workload::{Wish, carry_out};
use crate::world::{SERVER, USER, World, enrolment_token};

/// How often people let a rollout go on that is paused again and again.
const PATIENCE: u32 = 4;

/// How long a story is, and how many take part.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes.
    pub nodes: u32,
    /// Simulated time with faults.
    pub faulty: Duration,
    /// Simulated time within which the cluster must converge once faults have ended.
    pub converge_within: Duration,
    /// Simulated time for which it must then be quiet.
    pub quiet: Duration,
    /// Write down what happened: [`Outcome::told`].
    pub verbose: bool,
    /// A fault of our own that the oracle should find.
    pub planted: Option<Planted>,
    /// What does not happen, of all that would, by its place in the story.
    pub skip: Arc<BTreeSet<u32>>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nodes: 5,
            faulty: Duration::from_secs(180),
            converge_within: Duration::from_secs(30 * 60),
            quiet: Duration::from_secs(120),
            verbose: false,
            planted: None,
            skip: Arc::default(),
        }
    }
}

/// What came of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What did not hold, and when; `None` if all did.
    pub failure: Option<String>,
    /// Hash over the whole run.
    pub trace: u64,
    /// Polls of tasks.
    pub steps: u64,
    /// Images that the oracle looked at.
    pub looked: u64,
    /// Wishes answered with success.
    pub acknowledged: u64,
    /// Wishes that nobody answered for sure.
    pub uncertain: u64,
    /// Calls of agents that were let in, and that were refused.
    pub agents: (u64, u64),
    /// Calls of the thief that were let in, and that were refused.
    pub thieves: (u64, u64),
    /// How many things happened, or would have.
    pub happened: u32,
    /// What was seen.
    pub coverage: Coverage,
    /// Tasks at the end.
    pub tasks: usize,
    /// Simulated time.
    pub simulated: Duration,
    /// What happened, line by line, and how things stood when something did not hold; empty unless the plan is verbose.
    pub told: Vec<String>,
}

/// Tells the story of a seed.
#[must_use]
pub fn run(seed: u64, plan: &Plan) -> Outcome {
    let mut story = Story::new(seed, plan);
    let failure = story.tell(plan).err().map(|what| format!("after {:?}: {what}", story.world.sim.elapsed()));
    if failure.is_some() && story.verbose {
        story.told.extend(picture::of(&story.world));
        story.told.extend(story.oracle.recently());
    }
    let (acknowledged, uncertain) = remember(&story.memory, |memory| (memory.acknowledged, memory.uncertain));
    let (agents, thieves) = story.world.ledger.with(|book| (book.agents, book.thieves));
    Outcome {
        failure,
        trace: story.world.sim.trace_hash(),
        steps: story.world.sim.polls(),
        looked: story.oracle.looked,
        acknowledged,
        uncertain,
        agents,
        thieves,
        happened: story.happened,
        coverage: story.oracle.coverage.clone(),
        tasks: story
            .world
            .control()
            .map_or(0, |control| control.image().tasks().filter(|task| task.is_active()).count()),
        simulated: story.world.sim.elapsed(),
        told: story.told,
    }
}

struct Story {
    world: World,
    memory: SharedMemory,
    oracle: Oracle,
    random: IdStream,
    /// Processes that stand still, and until when.
    standing: Vec<(Duration, Actor)>,
    /// How often people let rollouts go on in the calm.
    let_go_on: BTreeMap<DeploymentId, u32>,
    happened: u32,
    skip: Arc<BTreeSet<u32>>,
    verbose: bool,
    told: Vec<String>,
}

impl Story {
    fn new(seed: u64, plan: &Plan) -> Self {
        let mut random = IdStream::seeded(seed ^ 0x5EED);
        // In every other story credentials are short-lived enough to expire while a node is cut off.
        let ttl = if random.next_u64().is_multiple_of(2) {
            DEFAULT_TTL
        } else {
            Duration::from_secs(20 + random.next_u64() % 40)
        };
        Self {
            world: World::new(seed, plan.nodes, ttl, plan.planted),
            memory: SharedMemory::default(),
            oracle: Oracle::default(),
            random,
            standing: Vec::new(),
            let_go_on: BTreeMap::new(),
            happened: 0,
            skip: Arc::clone(&plan.skip),
            verbose: plan.verbose,
            told: Vec::new(),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.verbose {
            self.told.push(format!("{:>9.3} s  {}", self.world.sim.elapsed().as_secs_f64(), what()));
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn tell(&mut self, plan: &Plan) -> Result<(), String> {
        self.play(Duration::from_secs(5))?;
        self.faults_begin();
        let end = self.world.sim.elapsed() + plan.faulty;
        while self.world.sim.elapsed() < end {
            let pause = Duration::from_millis(50 + self.below(1_500));
            self.play(pause)?;
            self.something_happens();
        }
        self.faults_end();
        self.converge(plan.converge_within)?;
        let control = self.world.control().ok_or("the server is not up")?;
        oracle::nothing_acknowledged_is_lost(&control.image(), &self.memory)?;
        oracle::others_are_let_be(&self.world)?;
        // Back-off windows and grace periods of what just settled may still run out: those are no noise.
        self.play(plan.quiet)?;
        let before = (control.image(), self.world.disk.writes(), self.world.container_calls());
        self.play(plan.quiet)?;
        oracle::is_quiet(&self.world, &before.0, before.1, &before.2)?;
        match oracle::unconverged(&self.world) {
            Some(why) => Err(format!("7: it converged and fell apart again: {why}")),
            None => Ok(()),
        }
    }

    fn play(&mut self, duration: Duration) -> Result<(), String> {
        let until = self.world.sim.elapsed() + duration;
        while self.world.sim.step(until) {
            self.oracle.look(&self.world)?;
        }
        if remember(&self.memory, |memory| memory.trespassed) {
            return Err("somebody who may only look changed something".to_owned());
        }
        self.oracle.look(&self.world)
    }

    fn converge(&mut self, within: Duration) -> Result<(), String> {
        let until = self.world.sim.elapsed() + within;
        loop {
            match oracle::unconverged(&self.world) {
                None if self.world.control().is_some() => return Ok(()),
                why if self.world.sim.elapsed() >= until => {
                    return Err(format!(
                        "7: not converged {within:?} after the faults ended: {}",
                        why.unwrap_or_default()
                    ));
                }
                _ => {
                    self.people_look_after_it();
                    self.play(Duration::from_secs(5))?;
                }
            }
        }
    }

    fn faults_begin(&mut self) {
        let weather = Weather {
            lost: self.below(60),
            doubled: self.below(60),
            late: self.below(80),
            overtaken: self.below(15),
        };
        self.world.exchange.set_weather(weather);
        let wear = Wear {
            refused: self.below(20),
            unknown_before: self.below(10),
            unknown_after: self.below(10),
            slow: self.below(30),
            hung: self.below(4),
        };
        self.world.disk.set_wear(wear);
        for at in 0..self.world.nodes.len() {
            let stream = Arc::new(Mutex::new(IdStream::seeded(self.random.next_u64())));
            let (rate, bad) = (self.below(25), self.below(150));
            let node = &self.world.nodes[at];
            node.checks.set_bad(bad);
            node.engine.set_fault_source(Some(Arc::new(move |call| {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                (stream.next_u64() % 1_000 < rate).then(|| fault(call, stream.next_u64()))
            })));
            node.engine.behave(|behaviour| {
                behaviour.pull_delay = Duration::from_millis(300);
                behaviour.create_delay = Duration::from_millis(20);
                behaviour.start_delay = Duration::from_millis(200);
                behaviour.stop_delay = Duration::from_millis(100);
                behaviour.tidy_delay = Duration::from_millis(140);
            });
        }
    }

    fn faults_end(&mut self) {
        self.note(|| "the faults end".to_owned());
        self.world.exchange.set_weather(Weather::default());
        self.world.reconnect();
        self.world.disk.set_wear(Wear::default());
        for (_, actor) in std::mem::take(&mut self.standing) {
            self.world.sim.resume(actor);
        }
        for node in &self.world.nodes {
            node.engine.set_fault_source(None);
            node.engine.set_reachable(true);
            node.seen.heal();
            node.checks.set_bad(0);
        }
        if self.world.control().is_none() {
            self.world.crash_server();
            self.world.start_server();
        }
    }

    /// Whatever waits for a person, in the quiet after the faults. Agents that run are left alone: what they got wrong they
    /// must find themselves.
    fn people_look_after_it(&mut self) {
        for at in 0..self.world.nodes.len() {
            if self.world.nodes[at].needs_a_start() {
                self.world.start_agent(at);
            }
        }
        let Some(control) = self.world.control() else { return };
        let image = control.image();
        for rollout in image.deployments().filter(|rollout| rollout.status == DeploymentStatus::Paused) {
            // What was let go on and is paused again for want of room would wait for ever, and nobody's patience has no end. A
            // rollback cannot be broken off, and fails by itself.
            let times = self.let_go_on.entry(rollout.id).or_default();
            let hopeless = *times >= PATIENCE || *times > 0 && slots::waits_in_vain(&image, rollout.service);
            let vain = hopeless && !rollout.is_rollback();
            *times += 1;
            self.wish(if vain { Wish::GiveUp(rollout.service) } else { Wish::GoOn(rollout.service) });
        }
        let is_held = |node: &Node| node.cordoned || node.status.is_draining();
        if image.nodes().any(|node| node.status != NodeStatus::Revoked && is_held(node)) {
            self.wish(Wish::Uncordon);
        }
    }

    fn something_happens(&mut self) {
        let now = self.world.sim.elapsed();
        let (over, standing) =
            std::mem::take(&mut self.standing).into_iter().partition(|(until, _)| *until <= now);
        self.standing = standing;
        let over: Vec<(Duration, Actor)> = over;
        over.into_iter().for_each(|(_, actor)| self.world.sim.resume(actor));
        if self.world.apart.as_ref().is_some_and(|apart| apart.until <= now) {
            self.world.reconnect();
        }
        let random = &mut self.random;
        if random.next_u64() % 5 < 3 {
            let names: Vec<_> = self.world.nodes.iter().map(|node| node.name.clone()).collect();
            let wish = Wish::draw(|| random.next_u64(), &names);
            if self.may_happen() {
                self.oracle.coverage.wish(now, wish.word());
                self.wish(wish);
            }
        } else {
            let incident = Incident::draw(|| random.next_u64(), self.world.nodes.len());
            if self.may_happen() {
                self.oracle.coverage.fault(now, incident.word());
                self.befall(incident);
            }
        }
    }

    /// Whether the next thing is part of this story.
    fn may_happen(&mut self) -> bool {
        self.happened += 1;
        !self.skip.contains(&(self.happened - 1))
    }

    fn befall(&mut self, incident: Incident) {
        self.note(|| format!("{}: {incident:?}", incident.word()));
        match incident {
            Incident::ServerCrashes => {
                self.world.crash_server();
                self.world.start_server();
            }
            Incident::ServerStands(spell) => self.stand(SERVER, spell),
            Incident::ServerClock(seconds) => self.world.sim.step_wall_clock(SERVER, seconds * 1_000_000),
            Incident::AgentCrashes(node) => self.world.crash_agent(node),
            Incident::AgentStops(node) => self.world.stop_agent(node),
            Incident::AgentStarts(node) if !self.world.nodes[node].up => self.world.start_agent(node),
            Incident::AgentStarts(_) => {}
            Incident::AgentStands(node, spell) => self.stand(self.world.nodes[node].actor, spell),
            Incident::NodeClock(node, seconds) => self.world.step_node_clock(node, seconds),
            Incident::NodeReboots(node) => self.world.reboot(node),
            Incident::ContainerEnds(node, code) => {
                self.with_a_container(node, |engine, id| {
                    engine.kill(id, code);
                });
            }
            Incident::ContainerOutOfMemory(node) => {
                self.with_a_container(node, |engine, id| {
                    engine.run_out_of_memory(id);
                });
            }
            Incident::EngineAway(node) => self.world.nodes[node].engine.set_reachable(false),
            Incident::EngineBack(node) => self.world.nodes[node].engine.set_reachable(true),
            Incident::EngineRestarts(node) => self.world.nodes[node].engine.restart_engine(),
            Incident::EngineLosesEvents(node) => self.world.nodes[node].engine.eat_events(3),
            Incident::EngineForgets(node) => self.with_a_container(node, |engine, id| engine.forget(id)),
            Incident::EngineAils(node, ailment, spell) => self.world.nodes[node].seen.ail(ailment, spell),
            Incident::CutOff(node, cut) => self.world.cut_off(node, cut),
            Incident::CutOffMost(spell) => {
                let (first, until) = (self.random.next_u64(), self.world.sim.elapsed() + spell);
                self.world.cut_off_most(first, until);
            }
            // Those that are cut off together are so for their time.
            Incident::Reconnected if self.world.apart.is_some() => {}
            Incident::Reconnected => self.world.reconnect(),
            Incident::Theft => self.steal(),
            Incident::Impostor(node) => {
                if let Some(door) = self.world.back_door() {
                    // With the kind of token that this machine does not have.
                    let token = enrolment_token(node + 1);
                    let trial = impersonate(door, self.world.nodes[node].name.clone(), token);
                    self.world.sim.env(USER).spawn(Box::pin(trial));
                }
            }
        }
    }

    fn stand(&mut self, actor: Actor, spell: Duration) {
        self.world.sim.pause(actor);
        self.standing.push((self.world.sim.elapsed() + spell, actor));
    }

    /// Someone tries what he read off the wire.
    fn steal(&mut self) {
        let loot = self.world.ledger.with(|book| book.loot.clone());
        let random = &mut self.random;
        let attempt = Attempt::draw(|| random.next_u64(), &loot);
        if let (Some(attempt), Some(door)) = (attempt, self.world.back_door()) {
            self.note(|| format!("a thief tries: {attempt:?}"));
            self.world.sim.env(USER).spawn(Box::pin(attempt.carry_out(door)));
        }
    }

    fn with_a_container(&mut self, node: usize, act: impl FnOnce(&FakeRuntime, &ContainerId)) {
        let containers = self.world.nodes[node].containers();
        if !containers.is_empty() {
            let at = usize::try_from(self.below(containers.len() as u64)).unwrap_or(0);
            self.note(|| format!("  it is one of {}", containers[at].labels.task));
            act(&self.world.nodes[node].engine, &containers[at].id);
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.note(|| format!("wish: {}", wish.tell()));
        if let Some(control) = self.world.control() {
            let env = self.world.sim.env(USER);
            let carried = carry_out(control, Arc::clone(&self.memory), env.clone(), wish);
            env.spawn(Box::pin(carried));
        }
    }
}

fn fault(call: Call, random: u64) -> Fault {
    match random % 8 {
        0 | 1 => Fault::AfterDoing,
        2 | 3 => Fault::Slow(Duration::from_millis(random % 5_000)),
        4 => Fault::Unreachable,
        5 if call == Call::EnsureImage => Fault::Permanent(FailureKind::Image, "no such image".to_owned()),
        _ => Fault::Retry("the engine is busy".to_owned()),
    }
}
