//! `orch token mint`: a user's token, made here with the key that the server checks with. No server is asked.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use orch_auth::jwt::KeyRing;
use orch_core::identity::Role;
use orch_core::name::Subject;
use orch_core::secret::Secret;
use orch_core::time::Timestamp;

use super::error::{CliError, USAGE};
use super::output::Output;
use super::wait::duration;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Print a token, signed with ORCH_JWT_SECRET, the key in a file, or the first key of a ring
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
        /// The file with the server's key ring, as in its ORCH_JWT_KEYS: its first key signs
        #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
        key_ring: Option<PathBuf>,
    },
}

pub(super) fn run(verb: &Verb, out: &Output) -> Result<(), CliError> {
    let Verb::Mint { sub, role, ttl, secret_file, key_ring } = verb;
    let ring = match key_ring {
        Some(path) => ring(path)?,
        None => KeyRing::single(&key(secret_file.as_ref())?).map_err(|e| CliError::failed(e.to_string()))?,
    };
    let now = Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let token = orch_auth::jwt::mint_with(&ring, sub, *role, *ttl, now)
        .map_err(|error| CliError::failed(error.to_string()))?;
    // The one place where a token is printed: it is what was asked for.
    if out.is_json() {
        return out.json(&serde_json::json!({ "token": token.expose() }));
    }
    out.raw(token.expose())
}

fn ring(path: &PathBuf) -> Result<KeyRing, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::failed(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    KeyRing::parse(&text).map_err(|error| failed(&error))
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
        return Err(CliError::new(USAGE, "there is no key to sign with").hint(
            "set ORCH_JWT_SECRET to the server's value, or name its file with --secret-file or --key-ring",
        ));
    }
    Ok(secret)
}
