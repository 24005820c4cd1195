//! A rolling update, against the engine's own time for the same creates, starts, stops and removals under the same limits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use serde_json::json;

use crate::cluster::{Cluster, interruptible, on_cluster, until};
use crate::deploy::{between, label, options_of};
use crate::engine::{Engine, remove_labelled};
use crate::report::{Goal, Report, median, now};

#[derive(Args)]
pub(crate) struct Options {
    /// Replicas of the service.
    #[arg(long, default_value_t = 50)]
    replicas: u32,
    /// How many there may be above that while it is updated.
    #[arg(long, default_value_t = 5)]
    surge: u32,
    /// Rounds of each kind, taking turns; medians count.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { replicas: 50, surge: 5, rounds: 3 }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    on_cluster(None, async |cluster| {
        let measured = interruptible(measure(cluster, options)).await;
        let (key, value) = label();
        remove_labelled(&format!("{key}={value}")).await?;
        measured
    })
}

async fn measure(cluster: &Cluster, options: &Options) -> anyhow::Result<Report> {
    let service = cluster.create(spec(cluster, options, 0)).await?;
    cluster.running(options.replicas as usize).await?;
    let mut old = bare_start(cluster, options.replicas).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds.max(1) {
        let (took, new) = bare_round(cluster, options, old, round).await?;
        bare.push(took);
        old = new;
        let began = now();
        cluster.update(&service, spec(cluster, options, round)).await?;
        let done = async || Ok(cluster.all_run(&service, round + 1, options.replicas));
        until("every replica is replaced", done).await?;
        ours.push(between(began, now()));
    }
    cluster.delete(&service).await?;
    let mut report = Report::new("rollout");
    report
        .figure("replicas", f64::from(options.replicas), "")
        .figure("surge", f64::from(options.surge), "")
        .figure("rounds", f64::from(options.rounds.max(1)), "")
        .figure("bare_loop", median(bare.clone()), "s")
        .figure("orch", median(ours.clone()), "s")
        .held("ratio_engine", median(ours) / median(bare), "×", Goal::AtMost(1.2));
    Ok(report)
}

/// The service as of that round: another environment makes another version. Running is healthy at once, as in the bare loop.
fn spec(cluster: &Cluster, options: &Options, round: u32) -> serde_json::Value {
    let mut spec = cluster.spec("bench-rollout", options.replicas, "never");
    spec["env"] = json!({ "ROUND": round.to_string() });
    spec["rollout"] = json!({ "max_surge": options.surge, "max_unavailable": 0, "min_healthy": 1_000_000 });
    spec
}

async fn bare_start(cluster: &Cluster, count: u32) -> anyhow::Result<Vec<String>> {
    let mut engine = Engine::connect().await?;
    let body = options_of(cluster);
    let mut ids = Vec::new();
    for at in 0..count {
        let id = engine.create(&name(0, at as usize), &body).await?;
        engine.start(&id).await?;
        ids.push(id);
    }
    Ok(ids)
}

fn name(round: u32, at: usize) -> String {
    format!("orch-bench-{}-{round}-{at}", std::process::id())
}

/// As many workers as the agent has and the surge allows: each starts a new container, then stops and removes an old one.
async fn bare_round(
    cluster: &Cluster,
    options: &Options,
    old: Vec<String>,
    round: u32,
) -> anyhow::Result<(f64, Vec<String>)> {
    let body = Arc::new(options_of(cluster));
    let left: Arc<Mutex<VecDeque<(usize, String)>>> =
        Arc::new(Mutex::new(old.into_iter().enumerate().collect()));
    let mut engines = Vec::new();
    for _ in 0..cluster.start_concurrency.min(options.surge as usize) {
        engines.push(Engine::connect().await?);
    }
    let began = now();
    let mut workers = tokio::task::JoinSet::new();
    for mut engine in engines {
        let (body, left) = (Arc::clone(&body), Arc::clone(&left));
        workers.spawn(async move {
            let mut new = Vec::new();
            loop {
                let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((at, old)) = next else { return anyhow::Ok(new) };
                let id = engine.create(&name(round, at), &body).await?;
                engine.start(&id).await?;
                engine.stop(&old).await?;
                engine.remove(&old).await?;
                new.push(id);
            }
        });
    }
    let mut new = Vec::new();
    while let Some(done) = workers.join_next().await {
        new.extend(done??);
    }
    Ok((between(began, now()), new))
}
