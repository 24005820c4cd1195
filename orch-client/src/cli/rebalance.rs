//! `orch rebalance`: replicas to better nodes, a few at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use orch_core::api::endpoint::{Nothing, Rebalance};
use orch_core::api::rebalance::{RebalanceAnswer, RebalanceRequest};
use tokio::time::Instant;

use super::error::{CliError, INTERRUPTED, TIMED_OUT};
use super::output::Output;
use super::wait::{duration, human, is_passing};
use crate::client::Client;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["plan", "apply"])))]
pub(super) struct Args {
    /// Only say what would move, and why
    #[arg(long)]
    plan: bool,
    /// Let them move, and wait until they have
    #[arg(long)]
    apply: bool,
    /// So many are on their way at most
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    at_most: u32,
    /// Wait no longer than this: 30s, 10m
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30m")]
    timeout: Duration,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    if args.plan {
        let answer = ask(client, false, args.at_most).await?;
        return if out.is_json() { out.json(&answer) } else { show(&answer, out) };
    }
    let end = Instant::now() + args.timeout;
    let (mut begun, mut told) = (BTreeSet::new(), String::new());
    let again = "what has begun goes on by itself; `orch rebalance --apply` lets the rest move";
    loop {
        let asked = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "no longer watching").hint(again)),
            asked = ask(client, true, args.at_most) => asked,
        };
        match asked {
            Ok(answer) => {
                for one in answer.moves.iter().take(answer.begun as usize) {
                    if begun.insert(one.task_id.clone()) {
                        out.note(format!("{} leaves {} for {}: {}", one.name, one.from, one.to, one.reason));
                    }
                }
                if answer.moves.is_empty() && answer.under_way == 0 {
                    return done(begun.len(), &answer, out);
                }
                let line = format!("{} on their way, {} to go", answer.under_way, answer.moves.len());
                if line != told {
                    out.note(&line);
                    told = line;
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= end {
            let message = format!("not balanced within {}", human(args.timeout));
            return Err(CliError::new(TIMED_OUT, message).hint(again));
        }
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "no longer watching").hint(again)),
            () = tokio::time::sleep_until((Instant::now() + EVERY).min(end)) => {}
        }
    }
}

async fn ask(
    client: &Client,
    apply: bool,
    at_most: u32,
) -> Result<RebalanceAnswer, crate::error::ClientError> {
    let request = RebalanceRequest { apply, at_most: Some(at_most) };
    client.call::<Rebalance>(&[], &Nothing {}, &request).await
}

fn show(answer: &RebalanceAnswer, out: &Output) -> Result<(), CliError> {
    let rows = answer
        .moves
        .iter()
        .map(|one| vec![one.name.clone(), one.from.clone(), one.to.clone(), one.reason.clone()]);
    out.table(&["REPLICA", "FROM", "TO", "WHY"], rows.collect(), "every replica is well where it is")?;
    left_alone(answer, out);
    Ok(())
}

fn done(moved: usize, answer: &RebalanceAnswer, out: &Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(answer);
    }
    left_alone(answer, out);
    out.line(match moved {
        0 => "every replica is well where it is".to_owned(),
        1 => "balanced; 1 replica moved".to_owned(),
        moved => format!("balanced; {moved} replicas moved"),
    })
}

fn left_alone(answer: &RebalanceAnswer, out: &Output) {
    for skipped in &answer.skipped {
        out.note(format!("{}: left alone: {}", skipped.service, skipped.reason));
    }
}
