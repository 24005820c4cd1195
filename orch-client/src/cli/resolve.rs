//! People say names; the API takes ids. Either is taken here.

use orch_core::api::endpoint::{GetNode, GetService, ListNodes, ListServices, ListTasks, Nothing};
use orch_core::api::node::Node;
use orch_core::api::service::Service;
use orch_core::api::task::{Task, TasksQuery};
use orch_core::id::{NodeId, ServiceId};

use super::error::CliError;
use crate::client::Client;

/// A service by name or id. A name is looked for among the living first: a deleted service frees its name.
pub(super) async fn service(client: &Client, name: &str) -> Result<Service, CliError> {
    if name.parse::<ServiceId>().is_ok() {
        return Ok(client.call::<GetService>(&[name], &Nothing {}, &Nothing {}).await?.service);
    }
    let all = client.call::<ListServices>(&[], &Nothing {}, &Nothing {}).await?.services;
    let named = all.into_iter().filter(|service| service.spec.name == name);
    named.max_by_key(|service| (service.status != "deleted", service.created_at)).ok_or_else(|| {
        CliError::failed(format!("service `{name}` does not exist in namespace `{}`", client.namespace()))
            .hint("`orch service ls` lists them; --namespace looks elsewhere")
    })
}

/// A node by name or id.
pub(super) async fn node(client: &Client, name: &str) -> Result<Node, CliError> {
    if name.parse::<NodeId>().is_ok() {
        return Ok(client.call::<GetNode>(&[name], &Nothing {}, &Nothing {}).await?.node);
    }
    let all = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await?.nodes;
    all.into_iter().find(|node| node.hostname == name).ok_or_else(|| {
        CliError::failed(format!("node `{name}` does not exist")).hint("`orch node ls` lists them")
    })
}

/// What a name may mean where replicas are meant.
pub(super) enum Target {
    Service(Box<Service>),
    Task(Box<Task>),
}

/// A service by name or id; else a task by the beginning of its id, four characters or more, of those that run if any does.
pub(super) async fn target(client: &Client, name: &str) -> Result<Target, CliError> {
    let no_service = match service(client, name).await {
        Ok(service) => return Ok(Target::Service(Box::new(service))),
        Err(error) => error,
    };
    if name.len() < 4 || !name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
        return Err(no_service);
    }
    let prefix = name.to_ascii_lowercase();
    let mut tasks = client.call::<ListTasks>(&[], &TasksQuery::default(), &Nothing {}).await?.tasks;
    tasks.retain(|task| task.id.starts_with(&prefix));
    tasks.sort_by_key(|task| (!runs(task), task.slot));
    tasks.into_iter().next().map(|task| Target::Task(Box::new(task))).ok_or(no_service)
}

/// Whether a task's container runs.
pub(super) fn runs(task: &Task) -> bool {
    matches!(task.actual_status.as_str(), "running" | "healthy" | "unhealthy")
}
