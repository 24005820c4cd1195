//! `orch scale SERVICE --replicas N`.

use orch_core::api::Force;
use orch_core::api::endpoint::ScaleService;
use orch_core::api::service::{ScaleRequest, ServiceAnswer};

use super::error::CliError;
use super::output::Output;
use super::resolve;
use super::wait::{WaitArgs, until_done};
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id
    service: String,
    /// How many
    #[arg(long, value_name = "N")]
    replicas: u32,
    /// Pass a maintenance window
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let before = resolve::service(client, &args.service).await?;
    let (query, body) = (Force { force: args.force }, ScaleRequest { replicas: args.replicas });
    let service = client.call::<ScaleService>(&[&before.id], &query, &body).await?.service;
    let waited = match args.wait.wait {
        true => until_done(client, &service, None, &args.wait, out).await,
        false => Ok(()),
    };
    if out.is_json() {
        out.json(&ServiceAnswer { service })?;
    } else {
        let (name, from, to) = (&service.spec.name, before.spec.replicas, service.spec.replicas);
        out.line(format!("{name}: {from} → {to} replicas"))?;
    }
    waited
}
