//! `orch-sim --seeds N [--from S]`: runs seeds until one fails, or all held. The last line is JSON.
//!
//! `--mutant NAME` plants a fault and says how many seeds it took to find it; `--mutants` does so for each.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use orch_sim::coverage::Coverage;
use orch_sim::many::outcomes;
use orch_sim::planted::Planted;
use orch_sim::shrink::{TRIES, parse_ranges, ranges, shrink};
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
    /// Leave out of a story what has these places in it, as a failure prints them: `3,7-9`.
    #[arg(long, value_parser = parse_ranges)]
    skip: Option<BTreeSet<u32>>,
    /// Tell a story that fails as it is, rather than the shortest that fails in the same way.
    #[arg(long)]
    no_shrink: bool,
    /// Stories that are told at the same time; as many as there are cores unless given.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// Plant this fault, and say which seed finds it.
    #[arg(long)]
    mutant: Option<Planted>,
    /// Plant each fault there is, one after the other.
    #[arg(long)]
    mutants: bool,
}

impl Cli {
    fn jobs(&self) -> NonZeroUsize {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or(cores)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match (cli.mutant, cli.mutants) {
        (Some(planted), _) => hunt(&cli, &[planted]),
        (None, true) => hunt(&cli, Planted::ALL),
        (None, false) => hold(&cli),
    }
}

/// How many seeds each planted fault takes.
#[expect(clippy::print_stdout, reason = "the program's answer")]
fn hunt(cli: &Cli, planted: &[Planted]) -> ExitCode {
    let mut found = serde_json::Map::new();
    let mut missed = Vec::new();
    for planted in planted {
        let plan = Plan { planted: Some(*planted), ..Plan::default() };
        let mut seeds = cli.from..cli.from.saturating_add(cli.seeds);
        let hit = seeds.find_map(|seed| run(seed, &plan).failure.map(|failure| (seed, failure)));
        match hit {
            Some((seed, failure)) => {
                let took = seed - cli.from + 1;
                println!("{}: found by seed {seed}, after {took} seeds: {failure}", planted.name());
                found.insert(planted.name().to_owned(), took.into());
            }
            None => {
                println!("{}: not found in {} seeds", planted.name(), cli.seeds);
                missed.push(planted.name());
            }
        }
    }
    println!("{}", json!({ "seeds_taken": found, "missed": missed }));
    if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "the program's answer")]
fn hold(cli: &Cli) -> ExitCode {
    let skip = Arc::new(cli.skip.clone().unwrap_or_default());
    let plan = Plan { verbose: cli.verbose, skip, ..Plan::default() };
    let started = Instant::now();
    let (mut steps, mut looked, mut acknowledged, mut uncertain, mut simulated, mut ran) =
        (0, 0, 0, 0, 0.0, 0);
    let (mut agents, mut thieves) = ((0, 0), (0, 0));
    let mut coverage = Coverage::default();
    let mut failures = Vec::new();
    let seeds = cli.from..cli.from.saturating_add(cli.seeds);
    for (seed, outcome) in outcomes(seeds, cli.jobs(), &plan) {
        ran += 1;
        outcome.told.iter().for_each(|line| println!("{line}"));
        agents = (agents.0 + outcome.agents.0, agents.1 + outcome.agents.1);
        thieves = (thieves.0 + outcome.thieves.0, thieves.1 + outcome.thieves.1);
        steps += outcome.steps;
        looked += outcome.looked;
        acknowledged += outcome.acknowledged;
        uncertain += outcome.uncertain;
        simulated += outcome.simulated.as_secs_f64() / 60.0;
        coverage.add(&outcome.coverage);
        let failure = outcome.failure.clone().or_else(|| {
            let differs = (cli.twice || seed == cli.from) && run(seed, &plan) != outcome;
            differs.then(|| "the same seed ran differently the second time".to_owned())
        });
        let Some(failure) = failure else { continue };
        let mut skip = cli.skip.clone().unwrap_or_default();
        println!("seed {seed}: {failure}");
        if !cli.no_shrink && !cli.keep_going && outcome.failure.is_some() {
            let (left_out, told) = shrink(seed, &plan, &outcome, TRIES);
            skip = left_out;
            println!("the shortest story that was found: {}", told.failure.as_deref().unwrap_or_default());
            told.told.iter().for_each(|line| println!("  {line}"));
        }
        let skip = if skip.is_empty() { String::new() } else { format!(" --skip {}", ranges(&skip)) };
        println!("  again: cargo run --release -p orch-sim -- --seeds 1 --from {seed} --verbose{skip}");
        failures.push(seed);
        if !cli.keep_going {
            break;
        }
    }
    let elapsed = started.elapsed().as_secs_f64();
    coverage.report().iter().for_each(|line| println!("{line}"));
    let line = json!({
        "seeds": ran, "failures": failures, "steps": steps, "coverage": coverage.summary(),
        "images_checked": looked, "acknowledged": acknowledged, "uncertain": uncertain,
        "agents": { "admitted": agents.0, "refused": agents.1 },
        "thieves": { "admitted": thieves.0, "refused": thieves.1 },
        "simulated_minutes": simulated.round(), "wall_seconds": elapsed,
        "simulated_minutes_per_second": simulated / elapsed,
    });
    println!("{line}");
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
