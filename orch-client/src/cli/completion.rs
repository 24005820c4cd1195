//! `orch completion SHELL`.

use std::io::Write as _;

use super::error::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::grammar(), "orch", &mut script);
    std::io::stdout()
        .lock()
        .write_all(&script)
        .map_err(|error| CliError::failed(format!("cannot print: {error}")))
}
