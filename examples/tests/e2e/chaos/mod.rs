//! Chaos on real parts: processes are killed and stopped, wires cut, slowed, muted and made to lie, containers killed, while a
//! user deploys, scales, changes and deletes. Afterwards what runs on the engine is what the user was told.

mod memory;
mod wire;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use orch_core::id::IdStream;

use self::memory::{Memory, Wanted};
use self::wire::{Mood, Wire};
use crate::engine;
use crate::poll::until_within;
use crate::site::Site;

const AGENTS: [&str; 3] = ["a", "b", "c"];
const SERVICES: [&str; 4] = ["amber", "beryl", "coral", "dune"];
/// How long everything has to come to rest, once nothing is wrong any more. Rollouts have longer, so that none goes back.
const TO_REST: Duration = Duration::from_secs(240);

struct Chaos {
    site: Site,
    random: IdStream,
    memory: Memory,
    /// From each agent to the server, and to the engine.
    wires: BTreeMap<&'static str, (Wire, Wire)>,
    /// What is undone, and when.
    spells: Vec<(Instant, Undo)>,
    told: Vec<String>,
}

enum Undo {
    StartServer,
    StartAgent(&'static str),
    ContinueServer,
    ContinueAgent(&'static str),
    MendServerWire(&'static str),
    MendEngineWire(&'static str),
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut site = Site::start(&[]);
        let mut wires = BTreeMap::new();
        for name in AGENTS {
            let (to_server, port) = Wire::to_port(site.port());
            let socket = site.path(&format!("engine-{name}.sock"));
            let to_engine = Wire::to_socket(engine::socket_path(), &socket);
            site.wired(name, port, &socket);
            site.start_agent(name);
            wires.insert(name, (to_server, to_engine));
        }
        AGENTS.iter().for_each(|name| site.wait_for_agent(name));
        let random = IdStream::seeded(seed);
        Self { site, random, memory: Memory::default(), wires, spells: Vec::new(), told: Vec::new() }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn for_a_while(&mut self, undo: Undo) {
        let spell = Duration::from_millis(500 + self.below(6_000));
        self.spells.push((Instant::now() + spell, undo));
    }

    fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.undo(|until| until <= Instant::now());
            if self.below(3) == 0 {
                self.go_wrong();
            } else {
                self.ask();
            }
            // The pace of the story, not a wait for anything.
            thread::sleep(Duration::from_millis(100 + self.below(300)));
        }
        self.undo(|_| true);
    }

    fn undo(&mut self, is_over: impl Fn(Instant) -> bool) {
        let (over, spells) = std::mem::take(&mut self.spells).into_iter().partition(|(at, _)| is_over(*at));
        self.spells = spells;
        let over: Vec<(Instant, Undo)> = over;
        for (_, undo) in over {
            match undo {
                Undo::StartServer => self.site.start_server(),
                Undo::StartAgent(name) => self.site.start_agent(name),
                Undo::ContinueServer => self.site.signal_server("CONT"),
                Undo::ContinueAgent(name) => self.site.signal_agent(name, "CONT"),
                Undo::MendServerWire(name) => self.wires[name].0.set(Mood::Fine),
                Undo::MendEngineWire(name) => self.wires[name].1.set(Mood::Fine),
            }
        }
    }

    /// Whether a process is there and does not stand still.
    fn is_well(&self, agent: Option<&str>) -> bool {
        !self.spells.iter().any(|(_, undo)| match undo {
            Undo::StartServer | Undo::ContinueServer => agent.is_none(),
            Undo::StartAgent(name) | Undo::ContinueAgent(name) => agent == Some(name),
            Undo::MendServerWire(_) | Undo::MendEngineWire(_) => false,
        })
    }

    fn go_wrong(&mut self) {
        let (what, name) = (self.below(8), self.one(&AGENTS));
        let well = if what < 2 { self.is_well(None) } else { self.is_well(Some(name)) };
        if !well {
            return;
        }
        let by = Duration::from_millis(50 + self.below(800));
        let moods = [Mood::Cut, Mood::Mute, Mood::Slow(by)];
        match what {
            0 => {
                self.say("the server is killed");
                self.site.kill_server();
                self.for_a_while(Undo::StartServer);
            }
            1 => {
                self.say("the server stands still");
                self.site.signal_server("STOP");
                self.for_a_while(Undo::ContinueServer);
            }
            2 => {
                self.say(&format!("agent {name} is killed"));
                self.site.kill_agent(name);
                self.for_a_while(Undo::StartAgent(name));
            }
            3 => {
                self.say(&format!("agent {name} stands still"));
                self.site.signal_agent(name, "STOP");
                self.for_a_while(Undo::ContinueAgent(name));
            }
            4 | 5 => {
                let mood = self.one(&moods);
                self.say(&format!("the wire from {name} to the server is {mood:?}"));
                self.wires[name].0.set(mood);
                self.for_a_while(Undo::MendServerWire(name));
            }
            6 => {
                let mood = self.one(&[moods[0], moods[1], moods[2], Mood::Lying]);
                self.say(&format!("the wire from {name} to the engine is {mood:?}"));
                self.wires[name].1.set(mood);
                self.for_a_while(Undo::MendEngineWire(name));
            }
            _ => {
                let running: Vec<String> = self.site.running().into_keys().collect();
                if !running.is_empty() {
                    let victim = running[usize::try_from(self.below(running.len() as u64)).unwrap()].clone();
                    self.say(&format!("container {victim:.12} is killed"));
                    engine::kill_if_running(&victim);
                }
            }
        }
    }

    /// The user asks for something, and remembers the answer. Nobody asks a server that is known to stand still.
    fn ask(&mut self) {
        if !self.is_well(None) {
            return;
        }
        let name = self.one(&SERVICES);
        let (replicas, version) =
            (1 + u32::try_from(self.below(4)).unwrap(), 1 + u32::try_from(self.below(2)).unwrap());
        let (what, done) = match self.below(8) {
            0 => {
                let ran = self.site.orch(&["delete", name]);
                // One that is not there is gone all the same.
                let done = ran.code == 0 || ran.err.contains("not found");
                self.memory.asked(name, done, |_| None);
                (format!("delete {name}"), done)
            }
            1 | 2 => {
                let count = replicas.to_string();
                let ran = self.site.orch(&["scale", name, "--replicas", &count]);
                let missing = ran.err.contains("not found");
                if !missing {
                    let scaled = |was: Wanted| was.map(|(_, version)| (replicas, version));
                    self.memory.asked(name, ran.code == 0, scaled);
                }
                (format!("scale {name} to {replicas}"), ran.code == 0)
            }
            _ => {
                let file = self.site.path(&format!("{name}.yaml"));
                let text = format!(
                    "name: {name}\nimage: {}:{version}\nreplicas: {replicas}\nports: [{{container: 8080}}]\n\
                     healthcheck: {{type: http, path: /health, interval: 300ms, timeout: 2s}}\n\
                     rollout: {{minHealthy: 1s, deadline: 60s}}\n",
                    self.site.image
                );
                std::fs::write(&file, text).unwrap();
                let ran = self.site.orch(&["deploy", file.to_str().unwrap()]);
                self.memory.asked(name, ran.code == 0, |_| Some((replicas, version)));
                (format!("deploy {name} ×{replicas} of version {version}: {}", ran.err.trim()), ran.code == 0)
            }
        };
        self.say(&format!("{what}: {}", if done { "acknowledged" } else { "no success" }));
    }

    fn say(&mut self, what: &str) {
        self.told.push(what.to_owned());
    }

    /// Whether what runs is what may be wanted, and nothing else. `Err`: what is not so yet.
    fn is_at_rest(&self) -> Result<(), String> {
        let listed = self.site.json(&["service", "ls"]);
        let listed = listed["services"].as_array().unwrap();
        let running = self.site.running();
        let mut accounted = 0;
        for (name, may) in self.memory.services() {
            let is = listed.iter().find(|service| service["spec"]["name"] == name);
            let wanted: Wanted = is.map(|service| {
                let image = service["spec"]["image"].as_str().unwrap();
                let replicas = service["spec"]["replicas"].as_u64().unwrap();
                (u32::try_from(replicas).unwrap(), image.rsplit(':').next().unwrap().parse().unwrap())
            });
            if !may.contains(&wanted) {
                return Err(format!("`{name}` is {wanted:?}, and the user was told {may:?}"));
            }
            let Some((replicas, version)) = wanted else { continue };
            let image = format!("{}:{version}", self.site.image);
            let tasks = self.site.json(&["service", "ps", name]);
            let wanted: Vec<_> = tasks["tasks"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|task| task["desired_status"] == "running")
                .cloned()
                .collect();
            if wanted.len() != replicas as usize {
                return Err(format!("`{name}` has {} tasks, and {replicas} are wanted", wanted.len()));
            }
            for task in wanted {
                let of_task: Vec<_> =
                    running.values().filter(|container| task["id"] == container.task.as_str()).collect();
                let [container] = of_task[..] else {
                    return Err(format!("{} of {name} has {} running containers", task["id"], of_task.len()));
                };
                if task["actual_status"] != "healthy" {
                    return Err(format!("{} of {name} is {}", task["id"], task["actual_status"]));
                }
                if container.whole["Config"]["Image"]
                    .as_str()
                    .is_none_or(|runs| runs != image && !runs.starts_with("sha256:"))
                {
                    return Err(format!(
                        "{name} runs {}, and {image} is wanted",
                        container.whole["Config"]["Image"]
                    ));
                }
                accounted += 1;
            }
        }
        match running.len() {
            all if all == accounted => Ok(()),
            all => Err(format!("{all} containers run, and {accounted} are wanted")),
        }
    }

    fn comes_to_rest(&self) {
        let mut last = String::new();
        let rest = until_within(TO_REST, || match self.is_at_rest() {
            Ok(()) => Some(()),
            Err(why) => {
                last = why;
                None
            }
        });
        assert!(rest.is_some(), "{last}\n{}", self.told.join("\n"));
    }
}

fn play(seed: u64, time: Duration) {
    let mut chaos = Chaos::new(seed);
    chaos.run(time);
    let ended = Instant::now();
    chaos.comes_to_rest();
    let Memory { acknowledged, unanswered, .. } = chaos.memory;
    let rest = ended.elapsed();
    eprintln!("story {seed}: {acknowledged} changes acknowledged, {unanswered} not; at rest after {rest:?}");
    assert!(acknowledged > 5, "too little was asked for to say anything: {:#?}", chaos.told);
}

#[test]
fn what_runs_is_what_the_user_was_told_after_a_little_chaos_on_the_engine() {
    play(1, Duration::from_secs(12));
}

#[test]
#[ignore = "a quarter of an hour: `make test-long` plays ten stories"]
fn what_runs_is_what_the_user_was_told_after_ten_stories_of_chaos_on_the_engine() {
    for seed in 2..=11 {
        play(seed, Duration::from_secs(60));
    }
}
