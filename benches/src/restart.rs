//! From the death of a container to the request that starts its next attempt, where no back-off is due.

use anyhow::Context as _;
use clap::Args;
use orch_core::time::Timestamp;

use crate::cluster::{Cluster, interruptible, on_cluster, until};
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
    on_cluster(None, async |cluster| interruptible(measure(cluster, options.deaths.max(1))).await)
}

async fn measure(cluster: &Cluster, deaths: u32) -> anyhow::Result<Report> {
    let service = cluster.post("bench", deaths, "always").await?;
    let victims = cluster.running(deaths as usize).await?;
    let (mut told, mut create, mut creating, mut start, mut agents, mut running) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    let mut engine = Engine::connect().await?;
    for victim in victims {
        let seen = next_attempt(cluster, &mut engine, &victim).await?;
        let (before, engines) = (between(seen.told, seen.create.asked), span(&seen.create));
        told.push(between(seen.died, seen.told));
        create.push(between(seen.died, seen.create.asked));
        creating.push(engines);
        agents.push(before + between(seen.create.answered, seen.start.asked));
        start.push(between(seen.died, seen.start.asked));
        running.push(between(seen.died, seen.running));
    }
    cluster.delete(&service).await?;
    let mut report = Report::new("restart");
    report
        .figure("deaths", f64::from(deaths), "")
        .figure("death_to_event", median(told) * 1e3, "ms")
        .figure("death_to_create_request", median(create) * 1e3, "ms")
        .figure("engine_create", median(creating) * 1e3, "ms")
        .figure("agent_adds", median(agents) * 1e3, "ms")
        .held("death_to_start_request", median(start) * 1e3, "ms", Goal::AtMost(50.0))
        .figure("death_to_started", median(running) * 1e3, "ms");
    Ok(report)
}

fn span(call: &Noted) -> f64 {
    between(call.asked, call.answered)
}

/// The death and what followed: death and start by the engine's word, the rest as the agent saw and did it.
struct Seen {
    died: Timestamp,
    told: Timestamp,
    create: Noted,
    start: Noted,
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
    let of = |what| notes.iter().find(|noted| noted.what == what).context("a death leads to both requests");
    let ended = |noted: &&Noted| noted.what == What::Ended && noted.container.0 == victim;
    let told = notes.iter().find(ended).context("the agent was told of the death")?.asked;
    let (create, start) = (of(What::Create)?.clone(), of(What::Start)?.clone());
    Ok(Seen {
        died: engine.died_at(victim, before).await?,
        told,
        running: engine.started_at(&start.container.0).await?,
        create,
        start,
    })
}
