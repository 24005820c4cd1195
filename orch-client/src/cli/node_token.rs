//! `orch node token …`: tokens that admit new nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Subcommand;
use orch_core::api::endpoint::{CreateEnrollmentToken, ListEnrollmentTokens, Nothing, RevokeEnrollmentToken};
use orch_core::api::enrollment::{
    EnrollmentToken, EnrollmentTokenAnswer, EnrollmentTokenRequest, EnrollmentTokensAnswer,
};
use orch_core::name::NodeName;

use super::error::CliError;
use super::output::{Output, age, short, until};
use super::wait::duration;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a token and print it, this once: an agent that is started with it is let in
    Create {
        /// How long it lets nodes in, at most 720h
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
        ttl: Duration,
        /// How many nodes it lets in
        #[arg(long, value_name = "COUNT", default_value_t = 1)]
        uses: u32,
        /// The one node name that it lets in [default: any that no node has]
        #[arg(long, value_name = "NODE")]
        name: Option<NodeName>,
        /// A label of the nodes, which they cannot change; may be given again
        #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
        labels: Vec<(String, String)>,
    },
    /// List tokens, those that ended within a week, too
    Ls,
    /// Take a token back: it lets nobody in any more; nodes that it let in stay
    Revoke {
        // Not `token`: by that name clap knows the global one, the user's own.
        /// Its id, or the first characters of it
        #[arg(value_name = "TOKEN_ID")]
        id: String,
    },
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    match verb {
        Verb::Create { ttl, uses, name, labels } => {
            let request = EnrollmentTokenRequest {
                node_name: name.as_ref().map(ToString::to_string),
                labels: labels.iter().cloned().collect(),
                uses: Some(*uses),
                ttl_seconds: Some(ttl.as_secs()),
            };
            create(client, &request, out).await
        }
        Verb::Ls => list(client, out).await,
        Verb::Revoke { id } => revoke(client, id, out).await,
    }
}

async fn create(client: &Client, request: &EnrollmentTokenRequest, out: &Output) -> Result<(), CliError> {
    let made = client.call::<CreateEnrollmentToken>(&[], &Nothing {}, request).await?;
    // The one place where a token is printed: it is what was asked for.
    if out.is_json() {
        return out.json(&made);
    }
    out.raw(made.token.secret().expose())?;
    let token = &made.enrollment_token;
    let nodes = if token.uses == 1 { "one node".to_owned() } else { format!("{} nodes", token.uses) };
    let name = token.node_name.as_ref().map_or_else(String::new, |name| format!(" named {name}"));
    out.note(format!("lets in {nodes}{name} until {}; it is not shown again", token.expires_at));
    Ok(())
}

async fn tokens(client: &Client) -> Result<Vec<EnrollmentToken>, CliError> {
    Ok(client.call::<ListEnrollmentTokens>(&[], &Nothing {}, &Nothing {}).await?.enrollment_tokens)
}

async fn list(client: &Client, out: &Output) -> Result<(), CliError> {
    let enrollment_tokens = tokens(client).await?;
    if out.is_json() {
        return out.json(&EnrollmentTokensAnswer { enrollment_tokens });
    }
    let rows = enrollment_tokens.iter().map(row).collect();
    let headings = ["ID", "STATUS", "USED", "NODE", "LABELS", "EXPIRES", "MADE BY", "AGE", "LET IN"];
    out.table(&headings, rows, "no tokens; `orch node token create` makes one")
}

fn row(token: &EnrollmentToken) -> Vec<String> {
    let labels: &BTreeMap<String, String> = &token.labels;
    let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let admitted: Vec<_> = token.admitted.iter().map(|node| node.name.as_str()).collect();
    let expires = if token.status == "live" { until(token.expires_at) } else { String::new() };
    vec![
        short(&token.id),
        token.status.clone(),
        format!("{}/{}", token.admitted.len(), token.uses),
        token.node_name.clone().unwrap_or_else(|| "any".to_owned()),
        labels.join(","),
        expires,
        token.made_by.clone(),
        age(token.created_at),
        admitted.join(", "),
    ]
}

async fn revoke(client: &Client, wanted: &str, out: &Output) -> Result<(), CliError> {
    let id = resolve(client, wanted).await?;
    let answer = client.call::<RevokeEnrollmentToken>(&[&id], &Nothing {}, &Nothing {}).await?;
    if out.is_json() {
        return out.json(&EnrollmentTokenAnswer { enrollment_token: answer.enrollment_token });
    }
    out.line(format!("{}: revoked; it lets nobody in any more", short(&id)))
}

/// The one token whose id begins so.
async fn resolve(client: &Client, wanted: &str) -> Result<String, CliError> {
    let wanted = wanted.to_ascii_lowercase();
    let mut found = tokens(client).await?.into_iter().filter(|token| token.id.starts_with(&wanted));
    match (found.next(), found.next()) {
        (Some(one), None) if !wanted.is_empty() => Ok(one.id),
        (Some(_), _) => Err(CliError::failed(format!("`{wanted}` begins more than one token's id"))),
        (None, _) => Err(CliError::failed(format!("token `{wanted}` does not exist"))
            .hint("`orch node token ls` lists them")),
    }
}
