//! `orch restart SERVICE`: a rolling replacement of every replica, without a change.

use orch_core::api::deployment::{DeploymentAnswer, SteerQuery};
use orch_core::api::endpoint::{Nothing, RestartService};

use super::error::CliError;
use super::output::Output;
use super::resolve;
use super::wait::{WaitArgs, until_done};
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id
    service: String,
    /// Why, for those who read the events: one line
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, &args.service).await?;
    let query = SteerQuery { reason: args.reason.clone() };
    let deployment = client.call::<RestartService>(&[&service.id], &query, &Nothing {}).await?.deployment;
    if !out.is_json() {
        out.line(format!("{}: every replica is replaced, one after the other", service.spec.name))?;
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
