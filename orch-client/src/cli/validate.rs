//! `orch validate FILE…`: what is wrong in deploy files, without a server.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use orch_core::api::spec::ServiceSpec;

use super::error::CliError;
use super::output::Output;
use crate::deploy_file;

/// The longest file that is read, with a little over, so that longer ones are told from those that just fit.
const MAX_BYTES: u64 = (1 << 20) + 1;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Deploy files; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, out: &Output) -> Result<(), CliError> {
    let services = read(&args.files)?;
    if out.is_json() {
        return out.json(&services.iter().map(|(_, spec)| spec).collect::<Vec<_>>());
    }
    for (file, spec) in services {
        out.line(format!("{file}: service {}: {} × {}", spec.name, spec.replicas, spec.image))?;
    }
    Ok(())
}

/// The services of some files, each with the file's name. Problems of all files are told together.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<(String, ServiceSpec)>, CliError> {
    let mut services: Vec<(String, ServiceSpec)> = Vec::new();
    let mut problems = Vec::new();
    for path in files {
        let name =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        let parsed = bytes(path)
            .map_err(|e| format!("{name}: {e}"))
            .and_then(|bytes| deploy_file::parse_bytes(&bytes).map_err(|error| error.in_file(&name)));
        match parsed {
            Err(problem) => problems.push(problem),
            Ok(specs) => {
                for spec in specs {
                    if let Some((other, _)) = services.iter().find(|(_, known)| known.name == spec.name) {
                        problems.push(format!("{name}: service `{}` stands in {other}, too", spec.name));
                    }
                    services.push((name.clone(), spec));
                }
            }
        }
    }
    if problems.is_empty() { Ok(services) } else { Err(CliError::failed(problems.join("\n"))) }
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
