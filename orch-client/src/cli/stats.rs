//! `orch stats` and `orch top`: what containers use.

use std::time::Duration;

use orch_core::api::endpoint::{GetStats, Nothing};
use orch_core::api::stats::{Flow, StatsAnswer, StatsQuery, TaskStats};

use super::error::{CliError, USAGE};
use super::output::{Output, bytes, short};
use super::resolve::{self, Target};
use crate::client::Client;

const HEADINGS: [&str; 11] = [
    "REPLICA",
    "TASK",
    "NODE",
    "CPU",
    "MEMORY",
    "LIMIT",
    "NET IN",
    "NET OUT",
    "DISK READ",
    "DISK WRITE",
    "PIDS",
];
/// Home, and nothing from there on.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A service, or a task: the beginning of its id as `service ps` shows it. Left out: all that runs in the namespace
    target: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    of: Args,
    /// Seconds between two rounds, the one in which nodes measure included
    #[arg(long, short = 'd', value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    delay: u64,
    /// End after so many rounds; left out: at Ctrl-C
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
}

/// One round.
pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let answer = measure(client, args).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    show(client, &answer, out)
}

/// Rounds until Ctrl-C, the busiest first. A round that fails is told, and the next one tried; the first one must not.
pub(super) async fn top(client: &Client, args: &TopArgs, out: &Output) -> Result<(), CliError> {
    let mut ticks = tokio::time::interval(Duration::from_secs(args.delay));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut done = 0;
    while args.rounds.is_none_or(|rounds| done < rounds) {
        let round = async {
            ticks.tick().await;
            measure(client, &args.of).await
        };
        let answer = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Ok(()),
            answer = round => answer,
        };
        match answer {
            Ok(mut answer) => {
                answer
                    .stats
                    .sort_by_key(|task| std::cmp::Reverse(task.usage.as_ref().map(|usage| usage.cpu_millis)));
                if out.is_json() {
                    out.json_line(&answer)?;
                } else {
                    if out.is_terminal() {
                        out.control(CLEAR)?;
                    }
                    show(client, &answer, out)?;
                }
            }
            Err(error) if done == 0 || error.code == USAGE => return Err(error),
            Err(error) => out.error(&error),
        }
        done += 1;
    }
    Ok(())
}

async fn measure(client: &Client, args: &Args) -> Result<StatsAnswer, CliError> {
    let mut query = StatsQuery::default();
    match &args.target {
        None => {}
        Some(name) => match resolve::target(client, name).await? {
            Target::Service(service) => query.service_id = Some(service.id),
            Target::Task(task) => query.task_id = Some(task.id),
        },
    }
    Ok(client.call::<GetStats>(&[], &query, &Nothing {}).await?)
}

fn show(client: &Client, answer: &StatsAnswer, out: &Output) -> Result<(), CliError> {
    let nothing = format!("nothing runs in namespace {}", client.namespace());
    out.table(&HEADINGS, answer.stats.iter().map(row).collect(), &nothing)?;
    for task in &answer.stats {
        if let Some(problem) = &task.problem {
            out.note(format!(
                "{}.{} on {}: {problem}",
                task.service,
                task.slot,
                task.node.as_deref().unwrap_or("no node")
            ));
        }
    }
    Ok(())
}

fn row(task: &TaskStats) -> Vec<String> {
    let mut row = vec![
        format!("{}.{}", task.service, task.slot),
        short(&task.task_id),
        task.node.clone().unwrap_or_default(),
    ];
    match &task.usage {
        None => row.resize(HEADINGS.len(), String::new()),
        Some(usage) => {
            let flow = |flow: Option<Flow>| {
                flow.map(|flow| format!("{}/s", bytes(flow.bytes_per_second))).unwrap_or_default()
            };
            row.extend([
                percent(usage.cpu_millis),
                bytes(usage.memory_bytes),
                usage.memory_limit_bytes.map(bytes).unwrap_or_default(),
                flow(usage.network_received),
                flow(usage.network_sent),
                flow(usage.disk_read),
                flow(usage.disk_written),
                usage.pids.map(|pids| pids.to_string()).unwrap_or_default(),
            ]);
        }
    }
    row
}

/// Of one core.
fn percent(millis: u64) -> String {
    format!("{}.{}%", millis / 10, millis % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_without_usage_has_as_many_cells_as_one_with_it() {
        let task: TaskStats = serde_json::from_value(serde_json::json!({
            "task_id": "0123456789", "service_id": "x", "service": "web", "slot": 2, "problem": "away",
        }))
        .unwrap();
        assert_eq!(row(&task).len(), HEADINGS.len());
        let measured: TaskStats = serde_json::from_value(serde_json::json!({
            "task_id": "0123456789", "service_id": "x", "service": "web", "slot": 2, "node": "a",
            "usage": { "attempt": 1, "interval_ms": 1000, "cpu_millis": 1234, "memory_bytes": 1 << 20,
                "network_sent": { "bytes": 5, "bytes_per_second": 2048 } },
        }))
        .unwrap();
        let cells = ["web.2", "01234567", "a", "123.4%", "1Mi", "", "", "2Ki/s", "", "", ""];
        assert_eq!(row(&measured), cells);
    }
}
