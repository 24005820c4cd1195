//! `orch man FOLDER`.

use std::path::PathBuf;

use super::error::CliError;
use super::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to: a folder that is there, such as ~/.local/share/man/man1
    folder: PathBuf,
}

/// `orch.1`, and `orch-VERB.1` for each verb.
pub(super) fn run(args: &Args, out: &Output) -> Result<(), CliError> {
    let failed = |error: std::io::Error| CliError::failed(format!("{}: {error}", args.folder.display()));
    // Otherwise every folder would do, and a spelling mistake go unnoticed.
    if !args.folder.is_dir() {
        return Err(CliError::failed(format!("{} is no folder", args.folder.display())));
    }
    clap_mangen::generate_to(super::grammar(), &args.folder).map_err(failed)?;
    out.note(format!("written to {}", args.folder.display()));
    Ok(())
}
