//! `orch auth can-i`: what one may, as the server's authorizer says.

use clap::Subcommand;
use orch_core::api::endpoint::{GetAccess, Nothing};
use orch_core::api::user::AccessQuery;

use super::error::CliError;
use super::output::Output;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say whether one may do something; exit status 1 says no
    CanI {
        /// What is to be done: read, create, scale, drain, …
        verb: String,
        /// With what: services, nodes, logs, …
        resource: String,
    },
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    let Verb::CanI { verb, resource } = verb;
    let query = AccessQuery { verb: verb.clone(), resource: resource.clone() };
    let answer = client.call::<GetAccess>(&[], &query, &Nothing {}).await?;
    if out.is_json() {
        out.json(&answer)?;
    } else {
        let place = answer.namespace.as_ref().map_or_else(
            || "in the whole cluster".to_owned(),
            |namespace| format!("in namespace {namespace}"),
        );
        out.line(format!("{}: {} {place}", if answer.allowed { "yes" } else { "no" }, answer.action))?;
    }
    match answer.reason {
        None => Ok(()),
        Some(reason) => Err(CliError::failed(reason)),
    }
}
