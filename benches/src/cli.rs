//! How long the command takes to start, and to list many services: the program built beside this one.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use orch_client::Client;
use orch_core::api::endpoint::{CreateService, Nothing};
use orch_core::api::service::SpecRequest;
use orch_server::local::LocalCluster;
use serde_json::json;
use tokio::process::Command;

use crate::cluster::interruptible;
use crate::footprint::beside;
use crate::report::{Goal, Report, median};

#[derive(Args)]
pub(crate) struct Options {
    /// Services in the namespace.
    #[arg(long, default_value_t = 1_000)]
    services: u32,
    /// How often each command is run; medians count.
    #[arg(long, default_value_t = 40)]
    runs: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { services: 1_000, runs: 40 }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(interruptible(measure(options)));
    runtime.shutdown_timeout(Duration::from_secs(5));
    answer
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let orch = beside("orch", "orch-client")?;
    let cluster = LocalCluster::builder().start().await?;
    let client = Client::builder().server(cluster.url()).build()?;
    let create = async |at: u32| {
        let spec = json!({ "name": format!("bench-{at}"), "image": "web:1", "replicas": 1 });
        let body = SpecRequest { spec: serde_json::from_value(spec)? };
        client.call::<CreateService>(&[], &Nothing {}, &body).await?;
        anyhow::Ok(())
    };
    stream::iter(0..options.services).map(create).buffer_unordered(16).try_collect::<()>().await?;

    let (mut nothing, mut help, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.runs.max(1) {
        nothing.push(took(Path::new("/bin/true"), &[]).await?.0);
        help.push(took(&orch, &["--help"]).await?.0);
        let (seconds, lines) = took(&orch, &["--server", &cluster.url(), "service", "ls"]).await?;
        anyhow::ensure!(
            lines == options.services as usize + 1,
            "{lines} lines for {} services",
            options.services
        );
        list.push(seconds);
    }
    cluster.stop().await;
    let mut report = Report::new("cli");
    report
        .figure("services", f64::from(options.services), "")
        .figure("process", median(nothing) * 1e3, "ms")
        .held("help", median(help) * 1e3, "ms", Goal::AtMost(15.0))
        .held("service_ls", median(list) * 1e3, "ms", Goal::AtMost(150.0));
    Ok(report)
}

/// Seconds from start to end, and the lines that it printed.
async fn took(program: &Path, arguments: &[&str]) -> anyhow::Result<(f64, usize)> {
    let began = Instant::now();
    let output = Command::new(program).args(arguments).output().await?;
    let seconds = began.elapsed().as_secs_f64();
    anyhow::ensure!(
        output.status.success(),
        "{}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((seconds, output.stdout.iter().filter(|byte| **byte == b'\n').count()))
}
