//! `orch deploy FILE…`: services become what the files say.

use std::path::PathBuf;

use orch_core::api::apply::{ApplyAnswer, ApplyQuery};
use orch_core::api::endpoint::Apply;
use orch_core::api::service::SpecRequest;

use super::error::CliError;
use super::output::Output;
use super::validate;
use super::wait::{WaitArgs, until_done};
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Deploy files; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only say what would change
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    // All files are read before the first is sent: a slip in the second leaves nothing half done.
    let services = validate::read(&args.files)?;
    let query = ApplyQuery { dry_run: args.dry_run };
    let mut answers = Vec::new();
    for (file, spec) in services {
        let name = spec.name.clone();
        let answer = client.call::<Apply>(&[], &query, &SpecRequest { spec }).await.map_err(|error| {
            let mut error = CliError::from(error);
            error.message = format!("{file}: service {name}: {}", error.message);
            error
        })?;
        if !out.is_json() {
            tell(&answer, out)?;
        }
        answers.push(answer);
    }
    let mut result = Ok(());
    if args.wait.wait {
        for answer in &answers {
            let (service, deployment) = (&answer.service, answer.deployment.as_ref());
            let waited = until_done(client, service, deployment, &args.wait, out).await;
            match waited {
                Ok(()) => {}
                // The others are still worth watching, unless the user said stop.
                Err(error) if error.code != super::error::INTERRUPTED && result.is_ok() => {
                    result = Err(error)
                }
                Err(error) if error.code != super::error::INTERRUPTED => out.error(&error),
                Err(error) => return Err(error),
            }
        }
    }
    if out.is_json() {
        out.json(&answers)?;
    }
    result
}

fn tell(answer: &ApplyAnswer, out: &Output) -> Result<(), CliError> {
    let name = &answer.service.spec.name;
    let would = if answer.dry_run { "would be " } else { "" };
    let version = answer.service.deployment_version;
    if answer.created {
        out.line(format!("{name}: {would}created, version {version}"))?;
    } else if answer.changes.is_empty() {
        return out.line(format!("{name}: unchanged, version {version}"));
    } else {
        out.line(format!("{name}: {would}changed, version {version}"))?;
    }
    for change in &answer.changes {
        out.line(format!("  {change}"))?;
    }
    Ok(())
}
