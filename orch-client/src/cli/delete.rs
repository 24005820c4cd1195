//! `orch delete SERVICE…`.

use orch_core::api::endpoint::{DeleteService, Nothing};

use super::error::CliError;
use super::output::Output;
use super::resolve;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names or ids
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    // All are found before the first is deleted: a slip in the second leaves nothing half done.
    let mut found = Vec::new();
    for name in &args.services {
        found.push(resolve::service(client, name).await?);
    }
    for service in found {
        client.call::<DeleteService>(&[&service.id], &Nothing {}, &Nothing {}).await?;
        if !out.is_json() {
            out.line(format!("{}: being deleted", service.spec.name))?;
        }
    }
    Ok(())
}
