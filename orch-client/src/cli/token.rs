//! `orch token mint`: a user's token, made here with the key that the server checks with. No server is asked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use orch_core::identity::Role;
use orch_core::name::Subject;
use orch_core::secret::Secret;
use orch_core::time::Timestamp;

use super::error::{CliError, USAGE};
use super::output::Output;
use super::wait::duration;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print a token, signed with ORCH_JWT_SECRET or the key in a file
    Mint {
        /// Who it is for
        #[arg(long, value_name = "NAME")]
        sub: Subject,
        /// What that one may: viewer, operator or admin
        #[arg(long)]
        role: Role,
        /// How long it is good
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "12h")]
        ttl: Duration,
        /// The file with the key; left out: the variable ORCH_JWT_SECRET
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
}

pub(super) fn run(verb: &Verb, out: &Output) -> Result<(), CliError> {
    let Verb::Mint { sub, role, ttl, secret_file } = verb;
    let secret = key(secret_file.as_ref())?;
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let token = orch_auth::jwt::mint(&secret, sub, *role, *ttl, now)
        .map_err(|error| CliError::failed(error.to_string()))?;
    // The one place where a token is printed: it is what was asked for.
    if out.is_json() {
        return out.json(&serde_json::json!({ "token": token.expose() }));
    }
    out.raw(token.expose())
}

/// The key, without the line end that editors put behind it.
fn key(file: Option<&PathBuf>) -> Result<Secret<String>, CliError> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| CliError::failed(format!("{}: {error}", path.display())))?,
        None => std::env::var("ORCH_JWT_SECRET").unwrap_or_default(),
    };
    let secret = Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if secret.expose().trim().is_empty() {
        return Err(CliError::new(USAGE, "there is no key to sign with")
            .hint("set ORCH_JWT_SECRET to the server's value, or name its file with --secret-file"));
    }
    Ok(secret)
}
