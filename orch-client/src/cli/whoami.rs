//! `orch whoami`.

use orch_core::api::endpoint::{GetWhoAmI, Nothing};

use super::error::CliError;
use super::output::Output;
use crate::client::Client;

pub(super) async fn run(client: &Client, out: &Output) -> Result<(), CliError> {
    let answer = client.call::<GetWhoAmI>(&[], &Nothing {}, &Nothing {}).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    let elsewhere = answer.namespace_roles.iter().map(|(name, role)| format!("{role} in {name}"));
    out.fields(&[
        ("Subject", answer.subject.clone()),
        ("Namespace", answer.namespace.clone()),
        ("Role here", answer.role.clone().unwrap_or_else(|| "none".to_owned())),
        ("In the cluster", answer.cluster_role.clone().unwrap_or_else(|| "none".to_owned())),
        ("Elsewhere", elsewhere.collect::<Vec<_>>().join(", ")),
    ])
}
