//! What tasks of this node use: each container is measured twice, a second apart.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use orch_core::agent::{Measured, StatsRequest};
use orch_core::api::stats::TaskUsage;
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::runtime::{ContainerState, ContainerStats, ObservedContainer, Owner, RuntimeError, Usage};

use super::lines::Pieces;
use crate::retry::chain;
use crate::shared::Shared;

/// Over how long rates are measured.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many containers are measured side by side.
const SIDE_BY_SIDE: usize = 8;

/// The measurements as one JSON array. What keeps all of them from being made is told of each task: an error of the stream would
/// reach nobody in words.
pub(super) async fn open(shared: &Shared, owner: &Owner, request: &StatsRequest) -> Result<Pieces, String> {
    let measured = measure_all(shared, owner, request).await.unwrap_or_else(|why| {
        let failed = |task: &TaskId| Measured { task: *task, usage: None, problem: Some(why.clone()) };
        request.tasks.iter().map(failed).collect()
    });
    let answer = serde_json::to_vec(&measured).map_err(|error| error.to_string())?;
    Ok(stream::once(std::future::ready(Ok(Bytes::from(answer)))).boxed())
}

async fn measure_all(
    shared: &Shared,
    owner: &Owner,
    request: &StatsRequest,
) -> Result<Vec<Measured>, String> {
    let stats = shared.runtime.stats().ok_or("this node's runtime cannot measure its tasks")?;
    let containers = shared.runtime.list(owner).await.map_err(|error| chain(&error))?;
    let running = newest_running(containers, &request.tasks);
    let before = measure(stats, &running).await;
    shared.env.sleep(INTERVAL).await;
    let after = measure(stats, &running).await;
    Ok(request.tasks.iter().map(|task| told(*task, &running, &before, &after)).collect())
}

type Running = BTreeMap<TaskId, ObservedContainer>;
type Measurements = BTreeMap<TaskId, Result<Usage, RuntimeError>>;

fn newest_running(containers: Vec<ObservedContainer>, tasks: &[TaskId]) -> Running {
    let mut running: Vec<_> = containers
        .into_iter()
        .filter(|container| tasks.contains(&container.labels.task))
        .filter(|container| matches!(container.state, ContainerState::Running { .. }))
        .collect();
    running.sort_by_key(|container| container.labels.attempt);
    running.into_iter().map(|container| (container.labels.task, container)).collect()
}

async fn measure(stats: &dyn ContainerStats, running: &Running) -> Measurements {
    let containers: Vec<_> = running.values().map(|seen| (seen.labels.task, seen.id.clone())).collect();
    stream::iter(containers)
        .map(|(task, id)| async move { (task, stats.usage(&id).await) })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await
}

fn told(task: TaskId, running: &Running, before: &Measurements, after: &Measurements) -> Measured {
    let (usage, problem) = match (running.get(&task), before.get(&task), after.get(&task)) {
        (Some(container), Some(Ok(before)), Some(Ok(after))) => {
            (Some(TaskUsage::between(container.labels.attempt, before, after)), None)
        }
        (_, Some(Err(error)), _) | (_, _, Some(Err(error))) => (None, Some(chain(error))),
        _ => (None, Some("the task has no container that runs".to_owned())),
    };
    Measured { task, usage, problem }
}
