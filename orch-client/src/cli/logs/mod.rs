//! `orch logs SERVICE`: what its containers print.

mod show;

use std::time::Duration;

use orch_core::api::endpoint::{ListTasks, Nothing};
use orch_core::api::logs::{LogFrame, LogsQuery};
use orch_core::api::task::TasksQuery;

use super::error::{CliError, INTERRUPTED};
use super::output::Output;
use super::resolve;
use crate::client::Client;
use crate::error::ClientError;
use show::Printer;

/// How long until a log that was cut off is asked for again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How often a log that is not followed is begun again without a new line in between.
const TRIES: u32 = 5;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id; all of its replicas, merged by time
    service: String,
    /// Go on with what comes: later attempts and new replicas too, over restarts of servers and agents
    #[arg(long, short)]
    follow: bool,
    /// Only this task: its id, or the beginning of it as `service ps` shows it
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only the last so many lines of each replica
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Only lines from then on: RFC 3339, or how long ago, such as 15m or 2h30m
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines that hold this text (no pattern; capitals count). With --tail: of the last N lines, those
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// The attempt before the newest: what a container said before it was restarted
    #[arg(long, short, conflicts_with = "follow")]
    previous: bool,
    /// Begin each line with its time
    #[arg(long, short)]
    timestamps: bool,
    /// Do not begin each line with the replica that says it
    #[arg(long)]
    no_prefix: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let since = args.since.as_deref().map(|text| since(text, jiff::Timestamp::now())).transpose()?;
    let service = resolve::service(client, &args.service).await?;
    let task_id = match &args.task {
        None => None,
        Some(prefix) => Some(find_task(client, &service.id, prefix).await?),
    };
    let query = LogsQuery {
        service_id: Some(service.id),
        task_id,
        follow: args.follow,
        tail: args.tail.map(|lines| lines.to_string()),
        since,
        previous: args.previous,
        ..LogsQuery::default()
    };
    let mut printer = Printer::new(&service.spec.name, !args.no_prefix, args.timestamps, args.grep.clone());
    let mut log = client.log_frames(query);
    let (mut failures, mut away) = (0, None);
    loop {
        let next = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "")),
            next = log.next() => next,
        };
        match next {
            Ok(Some(frame)) => {
                failures = 0;
                match &frame {
                    LogFrame::Away(why) => away = Some(why.reason.clone()),
                    LogFrame::Line(_) => away = None,
                    _ => {}
                }
                printer.show(&frame, out)?;
            }
            Ok(None) => break,
            Err(error) => {
                failures += 1;
                if !is_passing(&error) || (!args.follow && failures >= TRIES) {
                    return Err(error.into());
                }
                if failures == 2 {
                    out.note(format!("orch: {}; trying on", error.chain()));
                }
                let wait = (AGAIN.0 * 2_u32.pow(failures.min(6) - 1)).min(AGAIN.1);
                tokio::select! {
                    biased;
                    _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "")),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
    match away.filter(|_| printer.lines() == 0) {
        Some(_) => Err(CliError::failed("no log could be read")),
        None => Ok(()),
    }
}

/// Whether the same may go well later.
fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::Timeout { .. } => true,
        ClientError::Api(answer) => answer.is_transient(),
        _ => false,
    }
}

/// RFC 3339, from a time or from how long ago.
fn since(text: &str, now: jiff::Timestamp) -> Result<String, CliError> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.to_string());
    }
    let wrong = || {
        let message = format!("--since {text}: neither a time nor how long ago");
        CliError::new(super::error::USAGE, message).hint("2026-01-31T12:00:00Z, or 90s, 15m, 2h30m, 3d")
    };
    let span: jiff::SignedDuration = match text.strip_suffix('d').map(str::parse::<i64>) {
        Some(Ok(days)) => jiff::SignedDuration::from_secs(days.checked_mul(86_400).ok_or_else(wrong)?),
        _ => text.parse().map_err(|_| wrong())?,
    };
    if span.is_negative() {
        return Err(wrong());
    }
    now.checked_sub(span).map(|time| time.to_string()).map_err(|_| wrong())
}

async fn find_task(client: &Client, service: &str, prefix: &str) -> Result<String, CliError> {
    let query = TasksQuery { service_id: Some(service.to_owned()), ..TasksQuery::default() };
    let tasks = client.call::<ListTasks>(&[], &query, &Nothing {}).await?.tasks;
    let prefix = prefix.to_ascii_lowercase();
    let mut matching = tasks.into_iter().filter(|task| task.id.starts_with(&prefix));
    match (matching.next(), matching.next()) {
        (Some(task), None) => Ok(task.id),
        (Some(_), Some(_)) => Err(CliError::failed(format!("several tasks begin with `{prefix}`"))),
        (None, _) => Err(CliError::failed(format!("no task of this service begins with `{prefix}`"))
            .hint("`orch service ps SERVICE --all` lists them")),
    }
}

#[cfg(test)]
mod tests {
    use super::since;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now: jiff::Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (text, time) in [
            ("2026-01-31T10:00:00+01:00", "2026-01-31T09:00:00Z"),
            ("15m", "2026-01-31T11:45:00Z"),
            ("1h30m", "2026-01-31T10:30:00Z"),
            ("2d", "2026-01-29T12:00:00Z"),
        ] {
            assert_eq!(since(text, now).unwrap(), time);
        }
        for text in ["", "noon", "-5m", "99999999999999999d"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }
}
