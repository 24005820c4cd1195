//! `orch events`: what happened, and what happens.

use std::time::Duration;

use orch_core::api::endpoint::{ListEvents, Nothing};
use orch_core::api::event::{Event, EventsQuery};

use super::error::{CliError, INTERRUPTED};
use super::output::Output;
use super::resolve;
use crate::client::Client;

/// How long until events that were cut off are asked for again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only of this service, its tasks and its rollouts: name or id
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Only about this node: name or id
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// Only about this task: its id
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only of this type, such as task.failed
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only of this severity
    #[arg(long, value_parser = ["info", "warning", "error"])]
    severity: Option<String>,
    /// Only at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only after the event with this number, oldest first (`seq` in JSON); 0: all that are kept
    #[arg(long, value_name = "SEQ")]
    after: Option<String>,
    /// How many at most, 1 to 500
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let mut query = EventsQuery {
        kind: args.kind.clone(),
        severity: args.severity.clone(),
        since: args.since.clone(),
        task_id: args.task.clone(),
        limit: Some(args.limit.to_string()),
        after: args.after.clone(),
        ..EventsQuery::default()
    };
    if let Some(name) = &args.service {
        query.service_id = Some(resolve::service(client, name).await?.id);
    }
    if let Some(name) = &args.node {
        query.node_id = Some(resolve::node(client, name).await?.id);
    }
    if !args.follow {
        let mut answer = client.call::<ListEvents>(&[], &query, &Nothing {}).await?;
        if out.is_json() {
            return out.json(&answer);
        }
        if args.after.is_none() {
            answer.events.reverse();
        }
        return answer.events.iter().try_for_each(|event| tell(event, out));
    }
    let mut follower = client.follow_events(query);
    let mut failures = 0_u32;
    loop {
        let event = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "")),
            event = follower.next() => event,
        };
        match event {
            Ok(event) => {
                failures = 0;
                tell(&event, out)?;
                continue;
            }
            Err(error) if error.api().is_some_and(|answer| !answer.is_transient()) => {
                return Err(error.into());
            }
            Err(error) => {
                failures += 1;
                if failures == 2 {
                    out.note(format!("orch: {}; trying on", error.chain()));
                }
            }
        }
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "")),
            () = tokio::time::sleep((AGAIN.0 * 2_u32.pow(failures.min(6) - 1)).min(AGAIN.1)) => {}
        }
    }
}

/// One line an event: for people in words, for programs one JSON object.
pub(super) fn tell(event: &Event, out: &Output) -> Result<(), CliError> {
    if out.is_json() {
        let text = serde_json::to_string(event).map_err(|e| CliError::failed(e.to_string()))?;
        return out.raw(&text);
    }
    let mark = match event.severity.as_str() {
        "error" => "E",
        "warning" => "W",
        _ => " ",
    };
    out.line(format!("{:<27} {mark} {:<26} {}", event.timestamp.to_string(), event.kind, event.message))
}
