//! From the death of a container to the request that starts its next attempt, where no back-off is due.

use anyhow::Context as _;
use clap::Args;
use orch_core::time::Timestamp;

use crate::cluster::{Cluster, on_cluster, until};
use crate::deploy::between;
use crate::engine::Engine;
use crate::report::{Goal, Report, median, now};
use crate::timed::{Noted, What};

#[derive(Args)]
pub(crate) struct Options {
    /// Containers, each of which is killed once: its first death, after which no back-off is due.
    #[arg(long, default_value_t = 20)]
    deaths: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { deaths: 20 }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    on_cluster(async |cluster| measure(cluster, options.deaths.max(1)).await)
}

async fn measure(cluster: &Cluster, deaths: u32) -> anyhow::Result<Report> {
    let service = cluster.post("bench", deaths, "always").await?;
    let victims = cluster.running(deaths as usize).await?;
    let (mut until_known, mut until_create, mut until_start, mut until_running) =
        (vec![], vec![], vec![], vec![]);
    let mut engine = Engine::connect().await?;
    for victim in victims {
        let seen = next_attempt(cluster, &mut engine, &victim).await?;
        until_known.push(between(seen.died, seen.known));
        until_create.push(between(seen.died, seen.create));
        until_start.push(between(seen.died, seen.start));
        until_running.push(between(seen.died, seen.running));
    }
    cluster.delete(&service).await?;
    let mut report = Report::new("restart");
    report
        .figure("deaths", f64::from(deaths), "")
        // The engine answers no question about a dead container before it has tidied up behind it.
        .figure("death_to_engine_answer", median(until_known) * 1e3, "ms")
        .figure("death_to_create_request", median(until_create) * 1e3, "ms")
        .held("death_to_start_request", median(until_start) * 1e3, "ms", Goal::AtMost(50.0))
        .figure("death_to_started", median(until_running) * 1e3, "ms");
    Ok(report)
}

/// The death and what followed: death and start by the engine's word, requests as the agent made them.
struct Seen {
    died: Timestamp,
    known: Timestamp,
    create: Timestamp,
    start: Timestamp,
    running: Timestamp,
}

async fn next_attempt(cluster: &Cluster, engine: &mut Engine, victim: &str) -> anyhow::Result<Seen> {
    cluster.runtime.take();
    let before = now();
    engine.kill(victim).await?;
    let notes = std::cell::RefCell::new(Vec::<Noted>::new());
    until("the next attempt is started", async || {
        notes.borrow_mut().extend(cluster.runtime.take());
        Ok(notes.borrow().iter().any(|noted| noted.what == What::Start))
    })
    .await?;
    let notes = notes.into_inner();
    let of = |what| notes.iter().find(|noted| noted.what == what).context("the agent made both requests");
    let (create, start) = (of(What::Create)?, of(What::Start)?);
    let known = notes
        .iter()
        .filter(|noted| noted.what == What::Inspect && noted.container.0 == victim)
        .map(|noted| noted.answered)
        .filter(|answered| *answered <= create.asked)
        .max() // it is asked about at the kill, too
        .context("the agent asked about the dead container")?;
    Ok(Seen {
        died: engine.died_at(victim, before).await?,
        known,
        create: create.asked,
        start: start.asked,
        running: engine.started_at(&start.container.0).await?,
    })
}
