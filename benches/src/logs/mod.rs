//! `orch logs -f` of a service whose replicas all speak at once: is each line there, once, in order, and at what price?

mod bare;
mod tally;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use orch_client::LogFrames;
use orch_core::api::logs::{LogFrame, LogsQuery};
use serde_json::json;

use crate::cluster::{Cluster, interruptible, on_cluster};
use crate::engine::Engine;
use crate::process::{MIB, cpu_seconds, forget_peak, resident, resident_peak};
use crate::report::{Goal, Report, median, now};
use tally::Tally;

/// How long nothing may come before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of so many lines one is asked how late it is.
const SAMPLE: u64 = 64;

#[derive(Args)]
pub(crate) struct Options {
    /// Replicas of the service.
    #[arg(long, default_value_t = 20)]
    replicas: u32,
    /// What all of them together print.
    #[arg(long, default_value_t = 50_000)]
    lines_per_second: u32,
    /// How long.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// In the middle the reader takes nothing for so many seconds.
    #[arg(long, default_value_t = 2)]
    stall: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { replicas: 20, lines_per_second: 50_000, seconds: 20, stall: 2 }
    }
}

/// What each replica prints.
struct Asked {
    lines_each: usize,
    rate_each: u32,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    on_cluster(None, async |cluster| interruptible(measure(cluster, options)).await)
}

async fn measure(cluster: &Cluster, options: &Options) -> anyhow::Result<Report> {
    let replicas = options.replicas.max(1);
    let rate_each = (options.lines_per_second / replicas).max(1);
    let asked = Asked { lines_each: (rate_each * options.seconds.max(1)) as usize, rate_each };
    let service = cluster.create(spec(cluster, replicas, &asked)).await?;
    let containers = cluster.running(replicas as usize).await?;
    cluster.reported(replicas).await?;

    let stall = Duration::from_secs(options.stall.into());
    let ours = follow(cluster, &service, &containers, &asked, stall).await?;
    let bare = bare::follow(&containers, &asked).await?;
    cluster.delete(&service).await?;

    let wanted = f64::from(rate_each * replicas);
    let mut report = Report::new("logs");
    report
        .figure("replicas", f64::from(replicas), "")
        .figure("asked", wanted, "lines/s")
        .figure("lines", (asked.lines_each * containers.len()) as f64, "")
        .figure("bare_lines_per_second", bare.lines_per_second, "lines/s")
        .figure("bare_lost", bare.wrong.lost as f64, "")
        .figure("bare_twice", bare.wrong.twice as f64, "")
        .held("lines_per_second", ours.lines_per_second, "lines/s", Goal::AtLeast(wanted * 0.95))
        .held("lost", ours.wrong.lost as f64, "", Goal::AtMost(0.0))
        .held("twice", ours.wrong.twice as f64, "", Goal::AtMost(0.0))
        .held("out_of_order", ours.wrong.out_of_order as f64, "", Goal::AtMost(0.0))
        .figure("late_median", median(ours.late), "ms")
        .figure("own_cpu_a_line", ours.cpu_seconds * 1e6 / ours.lines as f64, "µs")
        .figure("resident_before", ours.resident_before / MIB, "MiB")
        .held(
            "resident_growth",
            (ours.resident_peak - ours.resident_before) / MIB,
            "MiB",
            Goal::AtMost(64.0),
        );
    Ok(report)
}

/// Lines as long as those of a web server's access log; a log that is rotated several times meanwhile.
fn spec(cluster: &Cluster, replicas: u32, asked: &Asked) -> serde_json::Value {
    let mut spec = cluster.spec("bench-logs", replicas, "never");
    spec["command"] = json!(["say", asked.lines_each.to_string(), asked.rate_each.to_string()]);
    spec["log"] = json!({ "driver": "json-file", "options": { "max-size": "4m", "max-file": "5" } });
    let share = json!({ "cpu": 50, "memory": 16 << 20 });
    spec["resource_requirements"] = json!({ "requests": share, "limits": share });
    spec
}

struct Followed {
    lines: u64,
    /// From the first to the last that came.
    lines_per_second: f64,
    wrong: tally::Wrong,
    /// Milliseconds between when the engine noted a line and when it was here.
    late: Vec<f64>,
    cpu_seconds: f64,
    resident_before: f64,
    resident_peak: f64,
}

/// Lets them speak, followed as `orch logs -f` does it.
async fn follow(
    cluster: &Cluster,
    service: &str,
    containers: &[String],
    asked: &Asked,
    stall: Duration,
) -> anyhow::Result<Followed> {
    let query = LogsQuery { service_id: Some(service.to_owned()), follow: true, ..LogsQuery::default() };
    let mut log = cluster.client.log_frames(query);
    opened(&mut log, containers.len()).await?;
    let mut tallies: BTreeMap<u32, Tally> = BTreeMap::new();
    let (mut lines, mut late) = (0_u64, Vec::new());
    let half = (asked.lines_each * containers.len() / 2) as u64;

    let own = std::process::id();
    let (resident_before, cpu_before) = (resident(own)?, cpu_seconds(own)?);
    forget_peak(own)?;
    let speaking = speak(containers);
    tokio::pin!(speaking);
    let (mut spoken, mut times) = (false, None);
    while tallies.len() < containers.len() || !tallies.values().all(Tally::is_over) {
        let frame = tokio::select! {
            biased;
            done = &mut speaking, if !spoken => {
                done?;
                spoken = true;
                continue;
            }
            frame = tokio::time::timeout(PATIENCE, log.next()) => frame,
        };
        let Ok(frame) = frame else { break };
        match frame?.context("the log ended")? {
            LogFrame::Line(line) => {
                let tally = tallies.entry(line.replica).or_insert_with(|| Tally::of(asked.lines_each));
                if !tally.take(line.text.as_bytes()) {
                    continue;
                }
                let here = Instant::now();
                times.get_or_insert((here, here)).1 = here;
                lines += 1;
                if lines.is_multiple_of(SAMPLE) {
                    let here = now().as_micros() as f64;
                    late.push(here / 1e3 - line.at.as_nanos() as f64 / 1e6);
                }
                if lines == half {
                    tokio::time::sleep(stall).await;
                }
            }
            LogFrame::Gap(gap) => anyhow::bail!("replica {}: {}", gap.replica, gap.reason),
            _ => {}
        }
    }
    let (cpu_seconds, resident_peak) = (cpu_seconds(own)? - cpu_before, resident_peak(own)?);
    let tallies: Vec<Tally> = tallies.into_values().collect();
    anyhow::ensure!(
        tallies.len() == containers.len(),
        "{} of {} replicas spoke",
        tallies.len(),
        containers.len()
    );
    let wrong = Tally::sum(&tallies);
    let (first, last) = times.context("no line came")?;
    let lines_per_second = lines as f64 / (last - first).as_secs_f64();
    Ok(Followed { lines, lines_per_second, wrong, late, cpu_seconds, resident_before, resident_peak })
}

/// Waits until every replica's log is read.
async fn opened(log: &mut LogFrames, replicas: usize) -> anyhow::Result<()> {
    let mut open = std::collections::BTreeSet::new();
    while open.len() < replicas {
        let next =
            tokio::time::timeout(3 * PATIENCE, log.next()).await.context("not every log was opened")?;
        match next?.context("the log ended")? {
            LogFrame::Open(replica) => drop(open.insert(replica.task)),
            LogFrame::Away(away) => anyhow::bail!("replica {}: {}", away.replica, away.reason),
            _ => {}
        }
    }
    Ok(())
}

/// Tells the containers to begin.
async fn speak(containers: &[String]) -> anyhow::Result<()> {
    let mut engine = Engine::connect().await?;
    for container in containers {
        engine.signal(container, "SIGUSR1").await?;
    }
    Ok(())
}
