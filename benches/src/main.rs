//! `orch-bench`: figures of orch as ratios against references measured in the same run.
#![forbid(unsafe_code)]

mod commit;
mod place;
mod report;

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
    /// Every benchmark that needs nothing but this machine's disk and processor.
    All,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let reports: Vec<Report> = match cli.what {
        What::Place(options) => vec![place::run(&options)?],
        What::Commit(options) => vec![commit::run(&options)?],
        What::All => vec![place::run(&place::Options::default())?, commit::run(&commit::Options::default())?],
    };
    for report in reports {
        report.print(cli.json)?;
    }
    Ok(())
}
