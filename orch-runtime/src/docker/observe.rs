//! Looking at containers: one, or all of an owner.

use std::collections::BTreeMap;
use std::time::Duration;

use docker_api::models;
use docker_api::opts::{ContainerFilter, ContainerListOpts};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use orch_core::runtime::{
    ContainerId, ContainerLabels, ContainerState, ObservedContainer, Owner, RuntimeError,
};
use orch_core::task::Exit;
use orch_core::time::Timestamp;

use super::DockerRuntime;
use super::client::DEADLINE;
use super::error::EngineError;

/// One hung container must not hold up the list of all.
const GLANCE: Duration = Duration::from_secs(10);
/// The exit code of what was killed by SIGKILL.
pub(super) const KILLED: i32 = 137;
/// How many containers are looked at side by side.
const SIDE_BY_SIDE: usize = 8;

/// A container as the engine describes it.
pub(super) struct Found {
    pub(super) id: ContainerId,
    /// `None`: not one of ours.
    pub(super) labels: Option<ContainerLabels>,
    pub(super) state: ContainerState,
    pub(super) tty: bool,
    /// Whether its memory is limited: one that is not runs out of nothing but the node's.
    limited: bool,
}

impl DockerRuntime {
    /// Looks at a container by id or name, ours or not; `None` if there is none.
    pub(super) async fn look_at(&self, name: &str) -> Result<Option<Found>, EngineError> {
        self.look_within(name, DEADLINE).await
    }

    async fn look_within(&self, name: &str, deadline: Duration) -> Result<Option<Found>, EngineError> {
        let client = self.client();
        let call = async {
            match client.session().await?.container(name).inspect().await.map_err(EngineError::from) {
                Ok(response) => Ok(Some(read(response))),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let mut found = client.run("inspect", deadline, call).await?;
        if let Some(Found { id, labels: Some(labels), state, limited, .. }) = &mut found {
            self.inner.ours.insert(id, labels);
            if let ContainerState::Exited(exit) = state
                && exit.code == Some(KILLED)
            {
                exit.oom_killed |= self.inner.ours.get(id).is_some_and(|known| known.out_of_memory);
                exit.oom_of_node = exit.oom_killed && !*limited;
            }
        }
        Ok(found)
    }

    pub(super) async fn observe(&self, id: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        let found = self.look_at(&id.0).await?;
        Ok(found.and_then(|found| {
            Some(ObservedContainer { id: found.id, labels: found.labels?, state: found.state })
        }))
    }

    pub(super) async fn list_containers(
        &self,
        owner: &Owner,
    ) -> Result<Vec<ObservedContainer>, RuntimeError> {
        let client = self.client();
        let filters = [
            ContainerFilter::Label(ContainerLabels::MANAGED.into(), "true".into()),
            ContainerFilter::Label(ContainerLabels::CLUSTER.into(), owner.cluster.to_string()),
            ContainerFilter::Label(ContainerLabels::NODE.into(), owner.node.to_string()),
        ];
        let options = ContainerListOpts::builder().all(true).filter(filters).build();
        let call = async {
            let containers = client.session().await?.docker.containers();
            containers.list(&options).await.map_err(EngineError::from)
        };
        let summaries = client.run("list", DEADLINE, call).await?;
        stream::iter(summaries)
            .map(|summary| self.complete(summary))
            .buffer_unordered(SIDE_BY_SIDE)
            .try_filter_map(|observed| std::future::ready(Ok(observed)))
            .try_collect()
            .await
    }

    /// Adds to a line of the list what only an inspection tells: since when it runs, how it ended.
    async fn complete(
        &self,
        summary: models::ContainerSummary,
    ) -> Result<Option<ObservedContainer>, RuntimeError> {
        let labels: BTreeMap<_, _> = summary.labels.unwrap_or_default().into_iter().collect();
        let (Some(id), Some(labels)) = (summary.id.map(ContainerId), ContainerLabels::from_map(&labels))
        else {
            return Ok(None);
        };
        self.inner.ours.insert(&id, &labels);
        let status = summary.state.as_deref().unwrap_or_default();
        if matches!(status, "created" | "dead" | "removing") {
            let state = if status == "created" { ContainerState::Created } else { ContainerState::Dead };
            return Ok(Some(ObservedContainer { id, labels, state }));
        }
        match self.look_within(&id.0, GLANCE).await {
            Ok(None) => Ok(None),
            Ok(Some(found)) => Ok(Some(ObservedContainer { id, labels, state: found.state })),
            Err(EngineError::Deadline(_)) => {
                tracing::warn!(container = %id, "the engine does not answer an inspection of this container");
                let created = Timestamp::from_micros(summary.created.unwrap_or(0).saturating_mul(1_000_000));
                let state = match status {
                    "exited" => ContainerState::Exited(Exit { at: created, ..Exit::default() }),
                    _ => ContainerState::Running { since: created },
                };
                Ok(Some(ObservedContainer { id, labels, state }))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn read(response: models::ContainerInspect200Response) -> Found {
    let config = response.config;
    let limit = response.host_config.as_ref().and_then(|host| host.get("Memory")?.as_u64());
    let tty = config.as_ref().and_then(|config| config.tty).unwrap_or(false);
    let labels: BTreeMap<_, _> =
        config.and_then(|config| config.labels).unwrap_or_default().into_iter().collect();
    Found {
        id: ContainerId(response.id.unwrap_or_default()),
        labels: ContainerLabels::from_map(&labels),
        state: response.state.map_or(ContainerState::Dead, state),
        tty,
        limited: limit.is_none_or(|bytes| bytes > 0),
    }
}

fn state(state: models::ContainerState) -> ContainerState {
    let time = |text: Option<String>| {
        text.and_then(|text| Timestamp::parse_rfc3339(&text).ok()).unwrap_or_default().max(Timestamp::ZERO)
    };
    match state.status.as_deref() {
        Some("created") => ContainerState::Created,
        Some("running" | "paused" | "restarting") => {
            ContainerState::Running { since: time(state.started_at) }
        }
        Some("exited") => ContainerState::Exited(Exit {
            code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
            oom_killed: state.oom_killed.unwrap_or(false),
            error: state.error.filter(|error| !error.is_empty()),
            started_at: Some(time(state.started_at)).filter(|at| *at > Timestamp::ZERO),
            at: time(state.finished_at),
            ..Exit::default()
        }),
        _ => ContainerState::Dead,
    }
}
