//! `orch service …`: what there is.

use clap::Subcommand;
use orch_core::api::endpoint::{GetWhy, ListNodes, ListServices, ListTasks, Nothing};
use orch_core::api::pin::ImagePin;
use orch_core::api::service::{Service, ServiceAnswer, ServicesAnswer};
use orch_core::api::spec::{Constraint, HealthCheck, Mount, Strategy};
use orch_core::api::task::{Task, TasksAnswer, TasksQuery};

use super::error::CliError;
use super::output::{Output, age, bytes, cores, short};
use super::resolve;
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List services
    Ls {
        /// Deleted ones, too
        #[arg(long, short)]
        all: bool,
    },
    /// Everything about one service
    Inspect {
        /// Name or id
        service: String,
    },
    /// Where a service's replicas are
    Ps {
        /// Name or id
        service: String,
        /// Ended ones, too
        #[arg(long, short)]
        all: bool,
    },
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    match verb {
        Verb::Ls { all } => list(client, *all, out).await,
        Verb::Inspect { service } => inspect(client, service, out).await,
        Verb::Ps { service, all } => tasks(client, service, *all, out).await,
    }
}

async fn list(client: &Client, all: bool, out: &Output) -> Result<(), CliError> {
    let mut services = client.call::<ListServices>(&[], &Nothing {}, &Nothing {}).await?.services;
    services.retain(|service| all || service.status != "deleted");
    services.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    if out.is_json() {
        return out.json(&ServicesAnswer { services });
    }
    let tasks = client.call::<ListTasks>(&[], &TasksQuery::default(), &Nothing {}).await?.tasks;
    let row = |service: &Service| {
        vec![
            service.spec.name.clone(),
            service.status.clone(),
            format!("{}/{}", serving(service, &tasks), service.spec.replicas),
            service.spec.image.clone(),
            service.deployment_version.to_string(),
            age(service.updated_at),
            short(&service.id),
        ]
    };
    out.table(
        &["NAME", "STATUS", "READY", "IMAGE", "VERSION", "CHANGED", "ID"],
        services.iter().map(row).collect(),
        &format!("no services in namespace {}; `orch deploy FILE` makes one", client.namespace()),
    )
}

/// How many tasks of a service serve.
fn serving(service: &Service, tasks: &[Task]) -> usize {
    let checked = service.spec.healthcheck.is_some();
    let serves = |task: &&Task| {
        task.service_id == service.id
            && task.desired_status == "running"
            && (task.actual_status == "healthy" || (task.actual_status == "running" && !checked))
    };
    tasks.iter().filter(serves).count()
}

async fn inspect(client: &Client, name: &str, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, name).await?;
    if out.is_json() {
        return out.json(&ServiceAnswer { service });
    }
    let why = client.call::<GetWhy>(&[&service.id], &Nothing {}, &Nothing {}).await?.why;
    if !why.fine && !why.summary.is_empty() {
        out.line(&why.summary)?;
        if why.causes.len() > 1 {
            out.note(format!("more of it: orch why {name}"));
        }
    }
    let spec = &service.spec;
    let list = |items: &[String]| items.join(" ");
    let ports = spec.ports.iter().map(|port| {
        let on =
            if port.published_port == 0 { "dynamic".to_owned() } else { port.published_port.to_string() };
        format!("{} → {on}", port.container_port)
    });
    let secrets = spec.secret_refs.iter().map(|secret| secret.name.clone()).collect::<Vec<_>>();
    let requests = spec.resource_requirements.requests;
    let limits = spec.resource_requirements.limits;
    let mounts = spec.mounts.iter().map(Mount::describe);
    let mut placement: Vec<_> = spec.placement_constraints.iter().map(Constraint::describe).collect();
    if spec.placement_strategy == Strategy::Binpack {
        placement.insert(0, "binpack".to_owned());
    }
    out.fields(&[
        ("Name", spec.name.clone()),
        ("Id", service.id.clone()),
        ("Namespace", service.namespace.clone()),
        ("Status", service.status.clone()),
        ("Image", spec.image.clone()),
        ("Pinned", service.image_pin.as_ref().map_or_else(String::new, ImagePin::describe)),
        ("Replicas", spec.replicas.to_string()),
        ("Version", service.deployment_version.to_string()),
        ("Revision", service.revision.to_string()),
        ("Entrypoint", list(&spec.entrypoint)),
        ("Command", list(&spec.command)),
        ("Environment", spec.env.keys().cloned().collect::<Vec<_>>().join(" ")),
        ("Secrets", list(&secrets)),
        ("Ports", ports.collect::<Vec<_>>().join(", ")),
        ("Requests", format!("{} CPU, {}", cores(requests.cpu.0), bytes(requests.memory.0))),
        ("Limits", format!("{} CPU, {}", cores(limits.cpu.0), bytes(limits.memory.0))),
        ("Mounts", mounts.collect::<Vec<_>>().join("; ")),
        ("Health", spec.healthcheck.as_ref().map_or_else(String::new, HealthCheck::describe)),
        ("Placement", placement.join(", ")),
        ("Created", format!("{} ({} ago)", service.created_at, age(service.created_at))),
        ("Changed", format!("{} ({} ago)", service.updated_at, age(service.updated_at))),
    ])
}

async fn tasks(client: &Client, name: &str, all: bool, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, name).await?;
    let query = TasksQuery { service_id: Some(service.id), ..TasksQuery::default() };
    let mut tasks = client.call::<ListTasks>(&[], &query, &Nothing {}).await?.tasks;
    let ended = |task: &Task| matches!(task.actual_status.as_str(), "failed" | "stopped" | "removed");
    tasks.retain(|task| all || !ended(task) || task.desired_status == "running");
    tasks.sort_by(|a, b| (a.slot, b.version, b.created_at).cmp(&(b.slot, a.version, a.created_at)));
    if out.is_json() {
        return out.json(&TasksAnswer { tasks });
    }
    let nodes = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await?.nodes;
    let row = |task: &Task| {
        let node = task.node_id.as_ref().map_or_else(String::new, |id| {
            nodes.iter().find(|node| node.id == *id).map_or_else(|| short(id), |node| node.hostname.clone())
        });
        let ports = task.ports.iter().map(|port| format!("{}→{}", port.published_port, port.container_port));
        let last = || task.exit.as_ref().map(|exit| format!("last: {}", exit.summary));
        let note =
            task.failure_reason.clone().or_else(|| task.note.clone()).or_else(last).unwrap_or_default();
        vec![
            task.slot.to_string(),
            task.version.to_string(),
            node,
            task.actual_status.clone(),
            task.desired_status.clone(),
            task.restart_count.to_string(),
            ports.collect::<Vec<_>>().join(" "),
            age(task.started_at.unwrap_or(task.created_at)),
            short(&task.id),
            note,
        ]
    };
    out.table(
        &["SLOT", "VERSION", "NODE", "STATUS", "WANTED", "RESTARTS", "PORTS", "AGE", "TASK", "NOTE"],
        tasks.iter().map(row).collect(),
        "no tasks",
    )
}
