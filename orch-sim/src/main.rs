//! `orch-sim --seeds N [--from S]`: runs seeds until one fails, or all held. The last line is JSON.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orch_sim::{Plan, run};
use serde_json::json;

#[derive(Parser)]
#[command(name = "orch-sim", about = "The production code under faults, on virtual time, seed by seed")]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run each seed twice, and fail if the two runs differ.
    #[arg(long)]
    twice: bool,
    /// Print what happened in each seed, and how things stood when something did not hold.
    #[arg(long)]
    verbose: bool,
    /// Go on after a failure.
    #[arg(long)]
    keep_going: bool,
}

#[expect(clippy::print_stdout, reason = "the program's answer")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = Plan { verbose: cli.verbose, ..Plan::default() };
    let started = Instant::now();
    let (mut steps, mut looked, mut acknowledged, mut uncertain, mut simulated, mut ran) =
        (0, 0, 0, 0, 0.0, 0);
    let mut failures = Vec::new();
    for seed in cli.from..cli.from.saturating_add(cli.seeds) {
        let outcome = run(seed, &plan);
        ran += 1;
        outcome.told.iter().for_each(|line| println!("{line}"));
        steps += outcome.steps;
        looked += outcome.looked;
        acknowledged += outcome.acknowledged;
        uncertain += outcome.uncertain;
        simulated += outcome.simulated.as_secs_f64() / 60.0;
        let failure = outcome.failure.clone().or_else(|| {
            let differs = (cli.twice || seed == cli.from) && run(seed, &plan) != outcome;
            differs.then(|| "the same seed ran differently the second time".to_owned())
        });
        if let Some(failure) = failure {
            println!(
                "seed {seed}: {failure}\n  again: cargo run --release -p orch-sim -- --seeds 1 --from {seed}"
            );
            failures.push(seed);
            if !cli.keep_going {
                break;
            }
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    let line = json!({
        "seeds": ran, "failures": failures, "steps": steps, "images_checked": looked, "acknowledged": acknowledged,
        "uncertain": uncertain, "simulated_minutes": simulated.round(), "wall_seconds": elapsed,
        "simulated_minutes_per_second": simulated / elapsed,
    });
    println!("{line}");
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
