//! `orch audit`: who did what.

use orch_core::api::audit::{AuditLog, AuditQuery};
use orch_core::api::endpoint::{ListAudit, Nothing};

use super::error::CliError;
use super::output::Output;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only by this kind of actor
    #[arg(long, value_parser = ["user", "agent", "system"])]
    actor_type: Option<String>,
    /// Only by this actor
    #[arg(long, value_name = "ID")]
    actor_id: Option<String>,
    /// Only this action, such as service.scale
    #[arg(long)]
    action: Option<String>,
    /// Only on this kind of object
    #[arg(long, value_name = "TYPE")]
    target_type: Option<String>,
    /// Only on this object
    #[arg(long, value_name = "ID")]
    target_id: Option<String>,
    /// Only with this outcome
    #[arg(long, value_parser = ["success", "failure"])]
    outcome: Option<String>,
    /// Only at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// How many at most, 1 to 500
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let query = AuditQuery {
        actor_type: args.actor_type.clone(),
        actor_id: args.actor_id.clone(),
        action: args.action.clone(),
        target_type: args.target_type.clone(),
        target_id: args.target_id.clone(),
        outcome: args.outcome.clone(),
        since: args.since.clone(),
        limit: Some(args.limit.to_string()),
    };
    let answer = client.call::<ListAudit>(&[], &query, &Nothing {}).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    let row = |record: &AuditLog| {
        vec![
            record.timestamp.to_string(),
            format!("{} {}", record.actor_type, record.actor_id),
            record.action.clone(),
            format!("{} {}", record.target_type, record.target_id),
            record.outcome.clone(),
            record.source_ip.clone().unwrap_or_default(),
        ]
    };
    out.table(
        &["TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "FROM"],
        answer.audit_logs.iter().rev().map(row).collect(),
        "nothing is recorded that matches",
    )
}
