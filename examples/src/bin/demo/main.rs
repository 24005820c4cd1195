//! `make demo`: the main job on one machine, with everything real but the users.
//!
//! A control plane and an agent in one process, SQLite, an image of our own, a service of three replicas with health checks;
//! scaled, rolled out under load, rolled back, a container killed behind its back; then all of it taken down again.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "it is a show")]

mod cluster;
mod load;
mod show;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use orch_core::api::deployment::RolloutRequest;
use orch_core::api::endpoint::{
    Apply, DeleteService, GetEndpoints, GetServiceRollout, ListTasks, Nothing, RollBack, RollOut,
    ScaleService,
};
use orch_core::api::service::ScaleRequest;
use orch_core::api::task::TasksQuery;
use tokio::signal::unix::{SignalKind, signal};

use cluster::Cluster;
use load::{Load, get};
use show::Show;

const SPEC: &str = include_str!("../../../specs/web.yaml");
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            println!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    let answer = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut show = Show::begin();
        let cluster = Cluster::start(&mut show).await?;
        // Whatever happens, and whenever someone has seen enough: what was made is removed.
        let story = tokio::select! {
            biased;
            told = tell(&cluster, &mut show) => told,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
            _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
        };
        let removed = cluster.remove(&mut show).await;
        story.and(removed)?;
        show.summary();
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn tell(cluster: &Cluster, show: &mut Show) -> anyhow::Result<()> {
    let client = &cluster.client;
    show.chapter("Deploy: three replicas, each healthy before it counts");
    println!("{}", SPEC.trim());
    let began = Instant::now();
    let mut spec =
        orch_client::deploy_file::parse(SPEC)?.pop().context("the demo's file holds one service")?;
    cluster.adapt(&mut spec);
    let body = orch_core::api::service::SpecRequest { spec };
    let web = client.call::<Apply>(&[], &Default::default(), &body).await?.service.id;
    deployed(cluster, &web, "succeeded").await?;
    show.took("deploy 3 healthy replicas", began);
    show.orch(cluster, &["service", "ps", "web"]).await?;

    show.chapter("Call it, through its endpoints");
    let endpoints = client.call::<GetEndpoints>(&[&web], &Default::default(), &Nothing {}).await?.endpoints;
    ensure!(endpoints.len() == 3, "{} endpoints instead of 3", endpoints.len());
    for endpoint in &endpoints {
        let address = format!("{}:{}", endpoint.node_address, endpoint.public_host_port);
        let (status, body) = get(&address, "/").await.with_context(|| format!("no answer from {address}"))?;
        println!("GET http://{address}/ → {status} {body}");
        ensure!(status == 200, "status {status}");
    }

    show.chapter("Scale to five");
    let began = Instant::now();
    client.call::<ScaleService>(&[&web], &Default::default(), &ScaleRequest { replicas: 5 }).await?;
    serving(cluster, &web, 5).await?;
    show.took("scale from 3 to 5", began);

    show.chapter("Roll out version 2, under load");
    let load = Load::begin(client, &web);
    let began = Instant::now();
    let request = RolloutRequest { image: cluster.image("2"), max_unavailable: 0, max_surge: 2 };
    client.call::<RollOut>(&[&web], &Default::default(), &request).await?;
    deployed(cluster, &web, "succeeded").await?;
    show.took("roll out version 2 to 5 replicas, under load", began);

    show.chapter("And back again, still under load");
    let began = Instant::now();
    client.call::<RollBack>(&[&web], &Default::default(), &Nothing {}).await?;
    deployed(cluster, &web, "rolled_back").await?;
    show.took("roll back to version 1, under load", began);
    // The client reads endpoints once a second: it is kept up for as long as it may know an old one.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (good, bad, lasted) = load.end().await;
    println!("{good} requests answered, {bad} failed, in {:.1} s", lasted.as_secs_f64());
    ensure!(good > 100, "the load was no load: {good} requests");
    ensure!(bad == 0, "{bad} requests failed");
    show.note(format!("{good} requests during both, {bad} failed"));

    show.chapter("Kill a container behind orch's back");
    let began = Instant::now();
    let victim = cluster.kill_one().await?;
    println!("killed {victim}");
    restarted(cluster, &web).await?;
    show.took("a killed container is back", began);
    serving(cluster, &web, 5).await?;

    show.chapter("What there is, and what happened");
    show.orch(cluster, &["node", "ls"]).await?;
    show.orch(cluster, &["service", "ls"]).await?;
    show.orch(cluster, &["service", "ps", "web"]).await?;
    show.orch(cluster, &["logs", "web", "--tail", "3"]).await?;
    show.orch(cluster, &["events", "--limit", "12"]).await?;

    show.chapter("Delete it");
    let began = Instant::now();
    client.call::<DeleteService>(&[&web], &Nothing {}, &Nothing {}).await?;
    cluster
        .until("every container is gone", PATIENCE, async || Ok(cluster.containers().await?.is_empty()))
        .await?;
    show.took("delete 5 replicas", began);
    Ok(())
}

async fn deployed(cluster: &Cluster, service: &str, status: &str) -> anyhow::Result<()> {
    let wanted = format!("the deployment has {status}");
    let ended = async || {
        let newest =
            cluster.client.call::<GetServiceRollout>(&[service], &Nothing {}, &Nothing {}).await?.deployment;
        let bad = ["failed", "cancelled", "superseded", "rolled_back"]
            .into_iter()
            .find(|bad| *bad == newest.status && *bad != status);
        ensure!(bad.is_none(), "the deployment is {}: {}", newest.status, newest.reason.unwrap_or_default());
        Ok(newest.status == status)
    };
    cluster.until(&wanted, PATIENCE * 2, ended).await
}

async fn serving(cluster: &Cluster, service: &str, replicas: usize) -> anyhow::Result<()> {
    let enough = async || {
        let found = cluster.client.call::<GetEndpoints>(&[service], &Default::default(), &Nothing {}).await?;
        Ok(found.endpoints.len() == replicas)
    };
    cluster.until(&format!("{replicas} replicas serve"), PATIENCE, enough).await
}

async fn restarted(cluster: &Cluster, service: &str) -> anyhow::Result<()> {
    let again = async || {
        let query = TasksQuery { service_id: Some(service.to_owned()), ..TasksQuery::default() };
        let tasks = cluster.client.call::<ListTasks>(&[], &query, &Nothing {}).await?.tasks;
        Ok(tasks
            .iter()
            .any(|task| task.attempt > 1 && matches!(task.actual_status.as_str(), "running" | "healthy")))
    };
    cluster.until("the killed one runs again", PATIENCE, again).await
}
