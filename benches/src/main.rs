//! `orch-bench`: figures of orch as ratios against references measured in the same run.
#![forbid(unsafe_code)]

mod cli;
mod cluster;
mod commit;
mod deploy;
mod engine;
mod footprint;
mod logs;
mod place;
mod process;
mod quiet;
mod report;
mod restart;
mod rollout;
mod scale;
mod swarm;
mod timed;

use clap::{Parser, Subcommand};

use report::Report;

#[derive(Parser)]
#[command(
    name = "orch-bench",
    about = "Figures of orch, as ratios against references measured in the same run"
)]
struct Cli {
    /// One line of JSON a benchmark instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Placements a second, decided and applied, on one core.
    Place(place::Options),
    /// Concurrent writers on SQLite: how much a group commit carries.
    Commit(commit::Options),
    /// From `POST` to all containers started, against a bare loop over the engine's API. Needs a Docker Engine.
    Deploy(deploy::Options),
    /// From the death of a container to the start of its next attempt. Needs a Docker Engine.
    Restart(restart::Options),
    /// Memory and processor time of the daemons, which are built beside this program.
    Footprint(footprint::Options),
    /// A rolling update, against the engine's own time for the same stops and starts. Needs a Docker Engine.
    Rollout(rollout::Options),
    /// A followed log of many replicas that all speak at once. Needs a Docker Engine.
    Logs(logs::Options),
    /// How long the command takes to start, and to list many services. It is built beside this program.
    Cli(cli::Options),
    /// How far one server carries: many agents and tasks, and a restart.
    Scale(scale::Options),
    /// All of them, with their defaults.
    All,
}

type Run = fn() -> anyhow::Result<Report>;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let one = |report: anyhow::Result<Report>| report?.print(cli.json);
    match cli.what {
        What::Place(options) => one(place::run(&options)),
        What::Commit(options) => one(commit::run(&options)),
        What::Deploy(options) => one(deploy::run(&options)),
        What::Restart(options) => one(restart::run(&options)),
        What::Footprint(options) => one(footprint::run(&options)),
        What::Rollout(options) => one(rollout::run(&options)),
        What::Logs(options) => one(logs::run(&options)),
        What::Cli(options) => one(cli::run(&options)),
        What::Scale(options) => one(scale::run(&options)),
        // Each is printed as soon as it is there.
        What::All => {
            let all: [Run; 9] = [
                || place::run(&Default::default()),
                || commit::run(&Default::default()),
                || deploy::run(&Default::default()),
                || restart::run(&Default::default()),
                || footprint::run(&Default::default()),
                || rollout::run(&Default::default()),
                || logs::run(&Default::default()),
                || cli::run(&Default::default()),
                || scale::run(&Default::default()),
            ];
            all.into_iter().try_for_each(|run| one(run()))
        }
    }
}
