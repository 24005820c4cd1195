//! `orch why TARGET`: the chain of causes behind a service, a replica, a task or a node.

use orch_core::api::endpoint::{
    GetNodeWhy, GetTaskWhy, GetWhy, ListEvents, ListNodes, ListServices, ListTasks, Nothing,
};
use orch_core::api::event::EventsQuery;
use orch_core::api::task::{Task, TasksQuery};
use orch_core::api::why::{Cause, NodeWhyAnswer, TaskWhyAnswer, Why, WhyAnswer};

use super::error::CliError;
use super::events;
use super::output::{Output, age};
use crate::client::Client;
use crate::error::ClientError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A service, a replica (web.2), a task's id or a node; service/NAME or node/NAME where both have the name
    target: String,
    /// How many of the last events to show
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(0..=500))]
    events: u16,
}

/// What was asked about.
enum Found {
    Service(WhyAnswer),
    Task(TaskWhyAnswer),
    Node(NodeWhyAnswer),
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let found = find(client, &args.target).await?;
    if out.is_json() {
        return match &found {
            Found::Service(answer) => out.json(answer),
            Found::Task(answer) => out.json(answer),
            Found::Node(answer) => out.json(answer),
        };
    }
    let query = EventsQuery { limit: Some(args.events.max(1).to_string()), ..EventsQuery::default() };
    let (why, query) = match found {
        Found::Service(answer) => (answer.why, EventsQuery { service_id: Some(answer.service_id), ..query }),
        Found::Task(answer) => (answer.why, EventsQuery { task_id: Some(answer.task_id), ..query }),
        Found::Node(answer) => (answer.why, EventsQuery { node_id: Some(answer.node_id), ..query }),
    };
    tell(&why, out)?;
    if args.events == 0 {
        return Ok(());
    }
    let mut events = client.call::<ListEvents>(&[], &query, &Nothing {}).await?.events;
    events.reverse();
    if !events.is_empty() {
        out.line("Last events:")?;
    }
    events.iter().try_for_each(|event| events::tell(event, out))
}

async fn find(client: &Client, target: &str) -> Result<Found, CliError> {
    let nothing = Nothing {};
    let (kind, name) = match target.split_once('/') {
        Some((kind @ ("service" | "node" | "task"), name)) => (Some(kind), name),
        _ => (None, target),
    };
    let may_be = |wanted: &str| kind.is_none_or(|kind| kind == wanted);
    if is_id(name) {
        if may_be("task")
            && let Some(answer) =
                unless_missing(client.call::<GetTaskWhy>(&[name], &nothing, &nothing).await)?
        {
            return Ok(Found::Task(answer));
        }
        if may_be("service")
            && let Some(answer) = unless_missing(client.call::<GetWhy>(&[name], &nothing, &nothing).await)?
        {
            return Ok(Found::Service(answer));
        }
        if may_be("node")
            && let Some(answer) =
                unless_missing(client.call::<GetNodeWhy>(&[name], &nothing, &nothing).await)?
        {
            return Ok(Found::Node(answer));
        }
        return Err(missing(client, target));
    }
    let (service_name, slot) = match name.rsplit_once('.') {
        Some((service, slot)) if slot.parse::<u32>().is_ok() => (service, slot.parse::<u32>().ok()),
        _ => (name, None),
    };
    if kind != Some("node") {
        let all = client.call::<ListServices>(&[], &nothing, &nothing).await?.services;
        let named = all.into_iter().filter(|service| service.spec.name == service_name);
        if let Some(service) = named.max_by_key(|row| (row.status != "deleted", row.created_at)) {
            let Some(slot) = slot else {
                return Ok(Found::Service(client.call::<GetWhy>(&[&service.id], &nothing, &nothing).await?));
            };
            let query = TasksQuery { service_id: Some(service.id.clone()), ..TasksQuery::default() };
            let tasks = client.call::<ListTasks>(&[], &query, &nothing).await?.tasks;
            let wanted = |task: &Task| (task.desired_status == "running", task.version, task.created_at);
            let newest = tasks.into_iter().filter(|task| task.slot == slot).max_by_key(wanted);
            let Some(task) = newest else {
                return Err(CliError::failed(format!("{service_name}.{slot} has no task"))
                    .hint(format!("orch why {service_name}")));
            };
            return Ok(Found::Task(client.call::<GetTaskWhy>(&[&task.id], &nothing, &nothing).await?));
        }
    }
    if may_be("node") {
        let nodes = client.call::<ListNodes>(&[], &nothing, &nothing).await?.nodes;
        if let Some(node) = nodes.into_iter().find(|node| node.hostname == name) {
            return Ok(Found::Node(client.call::<GetNodeWhy>(&[&node.id], &nothing, &nothing).await?));
        }
    }
    Err(missing(client, target))
}

fn is_id(text: &str) -> bool {
    text.parse::<orch_core::id::TaskId>().is_ok()
}

fn unless_missing<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.has_code("not_found") => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing(client: &Client, target: &str) -> CliError {
    let namespace = client.namespace();
    CliError::failed(format!("`{target}` is no service or task of namespace `{namespace}`, and no node"))
        .hint("`orch service ls`, `orch service ps SERVICE` and `orch node ls` list them")
}

/// The summary, and the chain below it where it says more.
fn tell(why: &Why, out: &Output) -> Result<(), CliError> {
    out.line(&why.summary)?;
    let said = |cause: &Cause| why.causes.len() == 1 && why.summary.contains(&cause.text);
    for cause in why.causes.iter().filter(|cause| !said(cause)) {
        let since = cause.since.map_or_else(String::new, |at| format!(" ({} ago)", age(at)));
        out.line(format!("  {}: {}{since}", cause.about, cause.text))?;
    }
    Ok(())
}
