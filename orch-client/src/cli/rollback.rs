//! `orch rollback SERVICE`.

use orch_core::api::deployment::{DeploymentAnswer, RollbackQuery};
use orch_core::api::endpoint::{Nothing, RollBack};

use super::error::CliError;
use super::output::Output;
use super::resolve;
use super::wait::{WaitArgs, until_done};
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id
    service: String,
    /// The version to go back to, as `orch history` lists them [default: the newest earlier one that succeeded]
    #[arg(long, value_name = "VERSION")]
    to: Option<u32>,
    /// Pass a maintenance window
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, &args.service).await?;
    let query = RollbackQuery { to_version: args.to, force: args.force };
    let deployment = client.call::<RollBack>(&[&service.id], &query, &Nothing {}).await?.deployment;
    let name = &service.spec.name;
    if !out.is_json() {
        out.line(format!(
            "{name}: going back, version {} → {}",
            deployment.from_version, deployment.to_version
        ))?;
    }
    let waited = match args.wait.wait {
        true => until_done(client, &service, Some(&deployment), &args.wait, out).await,
        false => Ok(()),
    };
    if out.is_json() {
        out.json(&DeploymentAnswer { deployment })?;
    }
    waited
}
