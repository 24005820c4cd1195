//! `orch deploy FILE…`: services become what the files say.

use std::path::PathBuf;

use orch_core::api::apply::{ApplyAnswer, ApplyQuery};
use orch_core::api::endpoint::Apply;
use orch_core::api::service::SpecRequest;

use super::error::CliError;
use super::output::Output;
use super::plan::{self, in_file, plan_all, revision_of};
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
    /// Refuse unless the service is at this revision, as `service inspect` shows it
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<u64>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    // All files are read before the first is sent: a slip in the second leaves nothing half done.
    let services = validate::read(&args.files)?;
    // Nothing is sent before all of it is known to be acceptable.
    let plans = plan_all(client, &services, args.if_revision).await?;
    if !out.is_json() {
        plans.iter().try_for_each(|plan| plan::tell(plan, out))?;
    }
    let options = revision_of(args.if_revision, services.len())?;
    let query = ApplyQuery { dry_run: args.dry_run };
    let mut answers = Vec::new();
    for (file, spec) in services {
        let name = spec.name.clone();
        let answer = client.call_with::<Apply>(&[], &query, &SpecRequest { spec }, &options).await;
        let answer = answer.map_err(|error| in_file(&file, &name, error))?;
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

/// What was done. What differed was told before.
fn tell(answer: &ApplyAnswer, out: &Output) -> Result<(), CliError> {
    let (name, version) = (&answer.service.spec.name, answer.service.deployment_version);
    match (answer.created, answer.changes.is_empty()) {
        _ if answer.dry_run => Ok(()),
        (true, _) => out.line(format!("{name}: created, version {version}")),
        // The plan said so.
        (false, true) => Ok(()),
        (false, false) => out.line(format!("{name}: changed, version {version}")),
    }
}
