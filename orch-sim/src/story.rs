//! One seed's story: faults and wishes first, then calm, then quiet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orch_core::env::Env as _;
use orch_core::id::IdStream;
use orch_core::task::FailureKind;
use orch_core::testing::runtime::{Call, Fault};

use crate::disk::Wear;
use crate::network::Weather;
use crate::oracle::{self, Oracle};
use crate::picture;
use crate::planted::Planted;
use crate::workload::{SharedMemory, Wish, carry_out, forget_under_way, remember};
use crate::world::{USER, World};

/// How long a story is, and how many take part.
#[derive(Clone, Copy, Debug)]
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
    }
    let (acknowledged, uncertain) = remember(&story.memory, |memory| (memory.acknowledged, memory.uncertain));
    Outcome {
        failure,
        trace: story.world.sim.trace_hash(),
        steps: story.world.sim.polls(),
        looked: story.oracle.looked,
        acknowledged,
        uncertain,
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
    verbose: bool,
    told: Vec<String>,
}

impl Story {
    fn new(seed: u64, plan: &Plan) -> Self {
        Self {
            world: World::new(seed, plan.nodes, plan.planted),
            memory: SharedMemory::default(),
            oracle: Oracle::default(),
            random: IdStream::seeded(seed ^ 0x5EED),
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
        // Back-off windows and grace periods of what just settled may still run out: those are no noise.
        self.play(plan.quiet)?;
        let before = (self.world.disk.writes(), self.world.container_calls());
        self.play(plan.quiet)?;
        let after = (self.world.disk.writes(), self.world.container_calls());
        if before != after {
            return Err(format!("7: not quiet: {before:?} writes and container calls became {after:?}"));
        }
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
                _ => self.play(Duration::from_secs(1))?,
            }
        }
    }

    fn faults_begin(&mut self) {
        let weather = Weather { lost: self.below(60), doubled: self.below(60), late: self.below(80) };
        self.world.exchange.set_weather(weather);
        let wear = Wear {
            refused: self.below(20),
            unknown_before: self.below(10),
            unknown_after: self.below(10),
            slow: self.below(30),
        };
        self.world.disk.set_wear(wear);
        for at in 0..self.world.nodes.len() {
            let stream = Arc::new(Mutex::new(IdStream::seeded(self.random.next_u64())));
            let rate = self.below(25);
            self.world.nodes[at].engine.set_fault_source(Some(Arc::new(move |call| {
                let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                (stream.next_u64() % 1_000 < rate).then(|| fault(call, stream.next_u64()))
            })));
            self.world.nodes[at].engine.behave(|behaviour| {
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
        self.world.disk.set_wear(Wear::default());
        for at in 0..self.world.nodes.len() {
            let name = self.world.nodes[at].name.clone();
            self.world.exchange.set_cut(&name, false);
            self.world.nodes[at].engine.set_fault_source(None);
            self.world.nodes[at].engine.set_reachable(true);
            if !self.world.nodes[at].up {
                self.world.start_agent(at);
            }
        }
        if self.world.control().is_none() {
            self.world.crash_server();
            forget_under_way(&self.memory);
            self.world.start_server();
        }
        // A drained node stays empty: let everything be used again.
        self.wish(Wish::Uncordon);
    }

    fn something_happens(&mut self) {
        let node = usize::try_from(self.below(self.world.nodes.len() as u64)).unwrap_or(0);
        match self.below(100) {
            0..=59 => {
                let random = &mut self.random;
                let wish = Wish::draw(|| random.next_u64(), self.world.nodes.len());
                self.wish(wish);
            }
            60..=64 => {
                self.note(|| "the server crashes".to_owned());
                self.world.crash_server();
                forget_under_way(&self.memory);
                self.world.start_server();
            }
            65..=71 if self.world.nodes[node].up => {
                self.note(|| format!("the agent of node-{node} crashes"));
                self.world.crash_agent(node);
            }
            72..=82 if !self.world.nodes[node].up => {
                self.note(|| format!("the agent of node-{node} starts"));
                self.world.start_agent(node);
            }
            83..=86 => self.kill_a_container(node),
            87 | 88 => {
                self.note(|| format!("the engine of node-{node} is out of reach"));
                self.world.nodes[node].engine.set_reachable(false);
            }
            89..=91 => {
                self.note(|| format!("the engine of node-{node} is in reach"));
                self.world.nodes[node].engine.set_reachable(true);
            }
            92 => {
                self.note(|| format!("the engine of node-{node} restarts"));
                self.world.nodes[node].engine.restart_engine();
            }
            93 => {
                self.note(|| format!("the engine of node-{node} loses events"));
                self.world.nodes[node].engine.eat_events(3);
            }
            94 | 95 => {
                self.note(|| format!("node-{node} is cut off"));
                let name = self.world.nodes[node].name.clone();
                self.world.exchange.set_cut(&name, true);
            }
            96..=98 => {
                self.note(|| "no node is cut off".to_owned());
                let names: Vec<_> = self.world.nodes.iter().map(|node| node.name.clone()).collect();
                names.iter().for_each(|name| self.world.exchange.set_cut(name, false));
            }
            _ => {}
        }
    }

    fn kill_a_container(&mut self, node: usize) {
        let containers = self.world.nodes[node].engine.containers();
        if !containers.is_empty() {
            let at = usize::try_from(self.below(containers.len() as u64)).unwrap_or(0);
            self.note(|| format!("a container of {} on node-{node} is killed", containers[at].labels.task));
            self.world.nodes[node].engine.kill(&containers[at].id, 137);
        }
    }

    fn wish(&mut self, wish: Wish) {
        self.note(|| format!("wish: {wish:?}"));
        if let Some(control) = self.world.control() {
            let carried = carry_out(control, Arc::clone(&self.memory), wish);
            self.world.sim.env(USER).spawn(Box::pin(carried));
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
