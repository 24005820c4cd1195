//! `orch logs SERVICE`: what its containers print.

use orch_core::api::endpoint::{ListTasks, Nothing};
use orch_core::api::logs::LogsQuery;
use orch_core::api::task::TasksQuery;

use super::error::{CliError, INTERRUPTED};
use super::output::{Output, printable};
use super::resolve;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id; all of its replicas
    service: String,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// Only this task: its id, or the beginning of it as `service ps` shows it
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Only the last so many lines
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// Begin each line with its time
    #[arg(long, short)]
    timestamps: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
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
        timestamps: args.timestamps,
    };
    let mut log = client.logs(&query).await?;
    loop {
        let line = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "")),
            line = log.next_line() => line?,
        };
        match line {
            None => return Ok(()),
            Some(line) => out.raw(&shown(&line))?,
        }
    }
}

/// Colours of the program itself are let through; whatever else would steer the terminal is not.
fn shown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&printable(&rest[..at]));
        let body = &rest[at + 2..];
        let end = body.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(body.len());
        if body[end..].starts_with('m') {
            out.push_str(&rest[at..at + 2 + end + 1]);
            rest = &body[end + 1..];
        } else {
            out.push_str("\\u{1b}[");
            rest = body;
        }
    }
    out.push_str(&printable(rest));
    if line.contains("\u{1b}[") {
        out.push_str("\u{1b}[0m");
    }
    out
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
    use super::shown;

    #[test]
    fn colours_pass_and_everything_else_that_steers_a_terminal_is_escaped() {
        assert_eq!(shown("plain"), "plain");
        assert_eq!(shown("\u{1b}[1;31mred\u{1b}[0m"), "\u{1b}[1;31mred\u{1b}[0m\u{1b}[0m");
        assert_eq!(shown("\u{1b}[2Jgone\u{7}"), "\\u{1b}[2Jgone\\u{7}\u{1b}[0m");
        assert_eq!(shown("\u{1b}]0;title\u{7}"), "\\u{1b}]0;title\\u{7}");
    }
}
