//! `orch user …`: users that the cluster keeps, and the API tokens of service accounts.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use orch_core::api::endpoint::{
    CreateApiToken, CreateUser, DisableUser, EnableUser, ListApiTokens, ListUsers, Nothing, RemoveUser,
    RevokeApiToken, RevokeUserTokens, SetUserRole,
};
use orch_core::api::user::{ApiTokenRequest, RoleRequest, User, UserAnswer, UserRequest};
use orch_core::identity::Role;

use super::error::{CliError, USAGE};
use super::output::{Output, age};
use super::wait::duration;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List users
    Ls,
    /// Add a user: what he may here counts instead of what his token says
    Add {
        /// Who: the subject of his tokens
        name: String,
        #[command(flatten)]
        role: RoleArgs,
        /// A program, which comes with API tokens of this cluster
        #[arg(long)]
        service_account: bool,
    },
    /// Change what a user may; without a role: what his token says
    SetRole {
        /// Who
        name: String,
        #[command(flatten)]
        role: RoleArgs,
    },
    /// Refuse a user from now on, open streams included, and take back all that was issued to him
    Disable {
        /// Who; also one whom the cluster does not know
        name: String,
    },
    /// Let a disabled user in again, by what is issued from now on
    Enable {
        /// Who
        name: String,
    },
    /// Take back what was issued to a user before now
    RevokeTokens {
        /// Who; also one whom the cluster does not know
        name: String,
    },
    /// Forget a user, and take back all that was issued to him
    Rm {
        /// Who
        name: String,
    },
    /// API tokens of service accounts
    #[command(subcommand)]
    Token(TokenVerb),
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenVerb {
    /// Make a token and print it: it is shown this once
    Create {
        /// Whose
        user: String,
        /// What to call it
        #[arg(long)]
        name: String,
        /// How long it is good, 366 days (8784h) at most
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2160h")]
        ttl: Duration,
    },
    /// List a user's tokens
    Ls {
        /// Whose
        user: String,
    },
    /// End a token
    Revoke {
        /// Whose
        user: String,
        /// Which
        name: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct RoleArgs {
    /// In the whole cluster: viewer, operator or admin
    #[arg(long)]
    role: Option<Role>,
    /// In a namespace, as often as needed: team-a=operator
    #[arg(long, value_name = "NAMESPACE=ROLE", value_parser = namespace_role)]
    namespace_role: Vec<(String, Role)>,
}

fn namespace_role(text: &str) -> Result<(String, Role), String> {
    let (namespace, role) = text.split_once('=').ok_or("expected NAMESPACE=ROLE, like team-a=operator")?;
    Ok((namespace.to_owned(), role.parse().map_err(|error| format!("{error}"))?))
}

impl RoleArgs {
    fn request(&self) -> RoleRequest {
        let word = |role: &Role| role.as_str().to_owned();
        let namespaces = self.namespace_role.iter().map(|(name, role)| (name.clone(), word(role)));
        RoleRequest { role: self.role.as_ref().map(word), namespace_roles: namespaces.collect() }
    }
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    const NONE: Nothing = Nothing {};
    match verb {
        Verb::Ls => {
            let answer = client.call::<ListUsers>(&[], &NONE, &NONE).await?;
            if out.is_json() {
                return out.json(&answer);
            }
            let rows = answer.users.iter().map(row).collect();
            out.table(&["NAME", "KIND", "STATUS", "ROLE", "TOKENS", "AGE"], rows, "no users are kept here")
        }
        Verb::Add { name, role, service_account } => {
            let RoleRequest { role, namespace_roles } = role.request();
            let kind = service_account.then(|| "service_account".to_owned());
            if *service_account && role.is_none() && namespace_roles.is_empty() {
                let why = "a service account needs a role: its tokens say nothing of what it may";
                return Err(CliError::new(USAGE, why).hint("give --role or --namespace-role"));
            }
            let body = UserRequest { name: name.clone(), kind, role, namespace_roles };
            said(client.call::<CreateUser>(&[], &NONE, &body).await?, "added", out)
        }
        Verb::SetRole { name, role } => {
            let answer = client.call::<SetUserRole>(&[name], &NONE, &role.request()).await?;
            let role = shown_role(&answer.user);
            said(answer, &format!("role {role}"), out)
        }
        Verb::Disable { name } => {
            said(client.call::<DisableUser>(&[name], &NONE, &NONE).await?, "disabled, tokens revoked", out)
        }
        Verb::Enable { name } => {
            said(client.call::<EnableUser>(&[name], &NONE, &NONE).await?, "enabled", out)
        }
        Verb::RevokeTokens { name } => {
            said(client.call::<RevokeUserTokens>(&[name], &NONE, &NONE).await?, "tokens revoked", out)
        }
        Verb::Rm { name } => {
            client.call::<RemoveUser>(&[name], &NONE, &NONE).await?;
            if out.is_json() { Ok(()) } else { out.line(format!("{name}: removed, tokens revoked")) }
        }
        Verb::Token(verb) => token(client, verb, out).await,
    }
}

async fn token(client: &Client, verb: &TokenVerb, out: &Output) -> Result<(), CliError> {
    const NONE: Nothing = Nothing {};
    match verb {
        TokenVerb::Create { user, name, ttl } => {
            let body = ApiTokenRequest { name: name.clone(), ttl_seconds: Some(ttl.as_secs()) };
            let made = client.call::<CreateApiToken>(&[user], &NONE, &body).await?;
            // The one place where it is printed: it is what was asked for.
            if out.is_json() { out.json(&made) } else { out.raw(&made.token) }
        }
        TokenVerb::Ls { user } => {
            let answer = client.call::<ListApiTokens>(&[user], &NONE, &NONE).await?;
            if out.is_json() {
                return out.json(&answer);
            }
            let row = |token: &orch_core::api::user::ApiToken| {
                let used = token.last_used_hour.map_or_else(|| "never".to_owned(), |at| at.to_string());
                vec![token.name.clone(), age(token.created_at), token.expires_at.to_string(), used]
            };
            let rows = answer.api_tokens.iter().map(row).collect();
            out.table(&["NAME", "AGE", "EXPIRES", "LAST USED (HOUR)"], rows, "no tokens")
        }
        TokenVerb::Revoke { user, name } => {
            client.call::<RevokeApiToken>(&[user, name], &NONE, &NONE).await?;
            if out.is_json() { Ok(()) } else { out.line(format!("{user}/{name}: revoked")) }
        }
    }
}

fn said(answer: UserAnswer, what: &str, out: &Output) -> Result<(), CliError> {
    if out.is_json() { out.json(&answer) } else { out.line(format!("{}: {what}", answer.user.name)) }
}

fn row(user: &User) -> Vec<String> {
    let tokens = user.api_tokens.to_string();
    vec![
        user.name.clone(),
        user.kind.clone(),
        user.status.clone(),
        shown_role(user),
        tokens,
        age(user.created_at),
    ]
}

fn shown_role(user: &User) -> String {
    let of = |roles: &BTreeMap<String, String>| -> Vec<String> {
        roles.iter().map(|(name, role)| format!("{name}={role}")).collect()
    };
    let all: Vec<_> = user.role.iter().cloned().chain(of(&user.namespace_roles)).collect();
    if all.is_empty() { "by token".to_owned() } else { all.join(",") }
}
