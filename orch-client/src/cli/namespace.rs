//! `orch namespace …`.

use clap::Subcommand;
use orch_core::api::endpoint::{CreateNamespace, DeleteNamespace, ListNamespaces, Nothing};
use orch_core::api::namespace::NamespaceRequest;

use super::error::CliError;
use super::output::{Output, age};
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List namespaces
    Ls,
    /// Make a namespace
    Create {
        /// Its name
        name: String,
    },
    /// Delete an empty namespace
    Delete {
        /// Its name
        name: String,
    },
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    match verb {
        Verb::Ls => {
            let answer = client.call::<ListNamespaces>(&[], &Nothing {}, &Nothing {}).await?;
            if out.is_json() {
                return out.json(&answer);
            }
            let rows = answer.namespaces.iter().map(|n| vec![n.name.clone(), age(n.created_at)]).collect();
            out.table(&["NAME", "AGE"], rows, "no namespaces")
        }
        Verb::Create { name } => {
            let body = NamespaceRequest { name: name.clone() };
            let answer = client.call::<CreateNamespace>(&[], &Nothing {}, &body).await?;
            if out.is_json() {
                out.json(&answer)
            } else {
                out.line(format!("{}: created", answer.namespace.name))
            }
        }
        Verb::Delete { name } => {
            client.call::<DeleteNamespace>(&[name], &Nothing {}, &Nothing {}).await?;
            if out.is_json() { Ok(()) } else { out.line(format!("{name}: deleted")) }
        }
    }
}
