//! From `POST` to all containers started, against a bare loop over the engine's API with the same options and concurrency.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use orch_core::time::Timestamp;
use serde_json::{Value, json};

use crate::cluster::{CPU_MILLIS, Cluster, MEMORY, interruptible, on_cluster};
use crate::engine::{Engine, remove_labelled};
use crate::report::{Goal, Report, median, now};
use crate::swarm::Swarm;
use crate::timed::{Noted, What};

#[derive(Args)]
pub(crate) struct Options {
    /// Containers a round.
    #[arg(long, default_value_t = 50)]
    containers: u32,
    /// Rounds of each kind, taking turns; medians count.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The same through Swarm as well: the engine joins a swarm on loopback and leaves it afterwards. Refused where it is in one.
    #[arg(long)]
    with_swarm: bool,
    /// Containers that the agent, and the bare loop, create and start at the same time; as agents do by default unless given.
    #[arg(long)]
    start_concurrency: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { containers: 50, rounds: 5, with_swarm: false, start_concurrency: None }
    }
}

/// The label of the bare loop's containers.
pub(crate) fn label() -> (&'static str, String) {
    ("orch-bench.bare", std::process::id().to_string())
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    on_cluster(options.start_concurrency, async |cluster| {
        let swarm = if options.with_swarm { Some(Swarm::find().await?) } else { None };
        let measured = interruptible(measure(cluster, options, swarm.as_ref())).await;
        // Each is undone, whatever became of the other.
        let (key, value) = label();
        let removed = remove_labelled(&format!("{key}={value}")).await;
        if let Some(swarm) = swarm {
            swarm.end().await?;
        }
        removed?;
        measured
    })
}

/// One deployment by orch.
struct Deployed {
    whole: f64,
    /// Until the `POST` was answered: the commit.
    commit: f64,
    /// From there until the first container was asked for. Negative where the agent was faster than the answer.
    wake: f64,
    create: f64,
    start: f64,
    /// From the last start's answer until the control plane knew that all run.
    report: f64,
}

impl Deployed {
    /// The phases in milliseconds of the whole: creates and starts as many side by side as the agent makes.
    fn shares(&self, containers: u32, side_by_side: usize) -> [(&'static str, f64); 5] {
        let turns = f64::from(containers.div_ceil(u32::try_from(side_by_side).unwrap_or(u32::MAX)));
        let (create, start) = (self.create * turns, self.start * turns);
        [
            ("commit", self.commit),
            ("wake", self.wake),
            ("create", create),
            ("start", start),
            ("report", self.report),
        ]
    }
}

async fn measure(cluster: &Cluster, options: &Options, swarm: Option<&Swarm>) -> anyhow::Result<Report> {
    if let Some(swarm) = swarm {
        swarm.begin().await?;
    }
    let (mut bare, mut ours, mut swarms) = (Vec::new(), Vec::new(), Vec::new());
    // One of each first, which does not count: the engine's own caches are cold.
    for round in 0..=options.rounds.max(1) {
        let theirs = bare_round(cluster, options.containers, round).await?;
        let deployed = round_of_ours(cluster, options.containers, round).await?;
        if let Some(swarm) = swarm {
            let took = swarm.round(cluster, options.containers, round).await?;
            swarms.extend((round > 0).then_some(took));
        }
        if round > 0 {
            bare.push(theirs);
            ours.push(deployed);
        }
    }
    let of = |pick: fn(&Deployed) -> f64| median(ours.iter().map(pick).collect());
    // Each against its neighbour in time: what else the machine does weighs on both.
    let ratio = median(ours.iter().zip(&bare).map(|(ours, bare)| ours.whole / bare).collect());
    let typical = Deployed {
        whole: of(|deployed| deployed.whole),
        commit: of(|deployed| deployed.commit),
        wake: of(|deployed| deployed.wake),
        create: of(|deployed| deployed.create),
        start: of(|deployed| deployed.start),
        report: of(|deployed| deployed.report),
    };
    let shares = typical.shares(options.containers, cluster.start_concurrency);
    let largest = shares.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let largest = largest.map_or_else(String::new, |(name, took)| {
        format!("{name}, {:.0} % of the whole", took / typical.whole * 100.0)
    });
    let mut report = Report::new("deploy");
    #[expect(clippy::cast_precision_loss, reason = "a count for people")]
    report
        .figure("containers", f64::from(options.containers), "")
        .figure("rounds", f64::from(options.rounds.max(1)), "")
        .figure("start_concurrency", cluster.start_concurrency as f64, "")
        .figure("bare_loop", median(bare.clone()), "s")
        .figure("orch", of(|deployed| deployed.whole), "s")
        .figure("commit", of(|deployed| deployed.commit) * 1e3, "ms")
        .figure("wake", of(|deployed| deployed.wake) * 1e3, "ms")
        .figure("create", of(|deployed| deployed.create) * 1e3, "ms")
        .figure("start", of(|deployed| deployed.start) * 1e3, "ms")
        .figure("report", of(|deployed| deployed.report) * 1e3, "ms")
        .text("largest_phase", largest)
        .figure("ratio_of_pairs", ratio, "×")
        .held("ratio_engine", of(|deployed| deployed.whole) / median(bare), "×", Goal::AtMost(1.15));
    if swarm.is_some() {
        let swarms = median(swarms);
        report.figure("swarm", swarms, "s").held(
            "ratio_swarm",
            of(|deployed| deployed.whole) / swarms,
            "×",
            Goal::AtMost(0.8),
        );
    }
    Ok(report)
}

async fn round_of_ours(cluster: &Cluster, count: u32, round: u32) -> anyhow::Result<Deployed> {
    cluster.runtime.take();
    let posted = now();
    let service = cluster.post(&format!("bench-{round}"), count, "never").await?;
    let answered = now();
    let (ids, reported) = tokio::try_join!(cluster.running(count as usize), cluster.reported(count))?;
    let last = last_start(ids).await?;
    let notes = cluster.runtime.take();
    cluster.delete(&service).await?;
    let creates = notes.iter().filter(|noted| noted.what == What::Create);
    let first = creates.map(|noted| noted.asked).min().context("a container was asked for")?;
    Ok(Deployed {
        whole: between(posted, last),
        commit: between(posted, answered),
        wake: between(answered, first),
        create: typical(&notes, What::Create),
        start: typical(&notes, What::Start),
        report: between(answered_last(&notes).context("a container was started")?, reported),
    })
}

fn answered_last(notes: &[Noted]) -> Option<Timestamp> {
    notes.iter().filter(|noted| noted.what == What::Start).map(|noted| noted.answered).max()
}

fn typical(notes: &[Noted], what: What) -> f64 {
    let of = notes.iter().filter(|noted| noted.what == what);
    median(of.map(|noted| between(noted.asked, noted.answered)).collect())
}

/// The same containers by a loop of as many workers as the agent has, each on a connection of its own.
async fn bare_round(cluster: &Cluster, count: u32, round: u32) -> anyhow::Result<f64> {
    let body = Arc::new(options_of(cluster));
    let next = Arc::new(AtomicUsize::new(0));
    let mut engines = Vec::new();
    for _ in 0..cluster.start_concurrency {
        engines.push(Engine::connect().await?);
    }
    let began = now();
    let mut workers = tokio::task::JoinSet::new();
    for mut engine in engines {
        let (body, next) = (Arc::clone(&body), Arc::clone(&next));
        workers.spawn(async move {
            let mut ids = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count as usize {
                    return anyhow::Ok(ids);
                }
                let id =
                    engine.create(&format!("orch-bench-{}-{round}-{at}", std::process::id()), &body).await?;
                engine.start(&id).await?;
                ids.push(id);
            }
        });
    }
    let mut ids = Vec::new();
    while let Some(done) = workers.join_next().await {
        ids.extend(done??);
    }
    let last = last_start(ids).await?;
    let (key, value) = label();
    remove_labelled(&format!("{key}={value}")).await?;
    Ok(between(began, last))
}

/// What the agent sends for such a service, word for word but for the identity in labels and host name.
pub(crate) fn options_of(cluster: &Cluster) -> Value {
    let (key, value) = label();
    let mut labels = serde_json::Map::from_iter([(key.to_owned(), json!(value))]);
    // The agent's containers have nine labels.
    labels
        .extend((1..9).map(|at| (format!("orch-bench.{at}"), json!("0195f2d0-0000-7000-8000-000000000000"))));
    json!({
        "Image": cluster.image.to_string(),
        "Hostname": "bench-0",
        "Env": [],
        "Labels": labels,
        "ExposedPorts": {},
        "StopSignal": "SIGKILL",
        "StopTimeout": 10,
        "HostConfig": {
            "PortBindings": {},
            "NanoCpus": CPU_MILLIS * 1_000_000,
            "Memory": MEMORY,
            "MemorySwap": MEMORY,
            "CapAdd": [],
            "CapDrop": ["NET_RAW"],
            "ReadonlyRootfs": false,
            "Privileged": false,
            "SecurityOpt": ["no-new-privileges"],
            "Init": false,
            "RestartPolicy": { "Name": "no" },
            "Mounts": [],
        },
    })
}

async fn last_start(ids: Vec<String>) -> anyhow::Result<Timestamp> {
    let mut engine = Engine::connect().await?;
    let mut last = Timestamp::ZERO;
    for id in ids {
        last = last.max(engine.started_at(&id).await?);
    }
    Ok(last)
}

/// Seconds; negative where the second came first.
pub(crate) fn between(earlier: Timestamp, later: Timestamp) -> f64 {
    let apart = |from: Timestamp, to: Timestamp| -> Duration { to.since(from) };
    if later < earlier { -apart(later, earlier).as_secs_f64() } else { apart(earlier, later).as_secs_f64() }
}
