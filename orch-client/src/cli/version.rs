//! `orch version`.

use orch_core::api::endpoint::{GetVersion, Nothing};

use super::error::CliError;
use super::global::Global;
use super::output::Output;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first line is there with and without a server, and first.
pub(super) async fn run(global: &Global, out: &Output) -> Result<(), CliError> {
    let client = global.try_client()?;
    if !out.is_json() {
        out.line(format!("orch {VERSION}"))?;
    }
    let Some(client) = client else {
        return if out.is_json() { out.json(&serde_json::json!({ "client": VERSION })) } else { Ok(()) };
    };
    match client.call::<GetVersion>(&[], &Nothing {}, &Nothing {}).await {
        Ok(server) if out.is_json() => out.json(&serde_json::json!({ "client": VERSION, "server": server })),
        Ok(server) => out.line(format!("server {} (API {})", server.server_version, server.api_version)),
        Err(error) => {
            if out.is_json() {
                out.json(&serde_json::json!({ "client": VERSION }))?;
            }
            // The version of this command was asked for, and told.
            out.note(format!("server: {}", error.chain()));
            Ok(())
        }
    }
}
