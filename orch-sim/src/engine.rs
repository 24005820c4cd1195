//! An engine as the agent sees it: the one in memory, at times full, at times telling what was so a while ago.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::TaskId;
use orch_core::runtime::{
    ContainerChecks, ContainerId, ContainerImages, ContainerLogs, ContainerRuntime, ContainerState,
    CreateRequest, ObservedContainer, Owner, PullProgress, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use orch_core::service::{ImageDigest, ImageRef, StopPolicy};
use orch_core::task::{Attempt, Exit, FailureKind};
use orch_core::testing::runtime::FakeRuntime;
use orch_core::time::Monotonic;

use crate::planted::Planted;

/// What an engine can be for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ailment {
    /// Nothing can be created, for want of room.
    Full,
    /// No image can be fetched.
    NoImages,
    /// Images seem not to exist.
    WrongImages,
    /// It lists what was there when this began.
    Stale,
    /// A list takes seconds, and tells what was so when it was asked for.
    Slow,
}

impl Ailment {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Full, Self::NoImages, Self::WrongImages, Self::Stale, Self::Slow];
}

/// The longest that a list takes, for an engine that lists slowly.
const SLOWEST_LIST: u64 = 12;

/// An engine with its ailments.
#[derive(Clone)]
pub struct Engine {
    inner: FakeRuntime,
    env: SharedEnv,
    planted: Option<Planted>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    until: BTreeMap<Ailment, Monotonic>,
    old: Vec<ObservedContainer>,
    started: BTreeSet<(TaskId, Attempt)>,
}

impl Engine {
    /// A healthy one.
    #[must_use]
    pub fn new(inner: FakeRuntime, env: SharedEnv, planted: Option<Planted>) -> Self {
        Self { inner, env, planted, state: Arc::default() }
    }

    /// From now on and for so long.
    pub fn ail(&self, ailment: Ailment, duration: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if ailment == Ailment::Stale {
            state.old = self.inner.containers();
        }
        state.until.insert(ailment, self.env.monotonic() + duration);
    }

    /// All is well.
    pub fn heal(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).until.clear();
    }

    /// Whether an attempt of a task ever ran here.
    #[must_use]
    pub fn has_started(&self, task: TaskId, attempt: Attempt) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).started.contains(&(task, attempt))
    }

    fn ails(&self, ailment: Ailment) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.until.get(&ailment).is_some_and(|until| self.env.monotonic() < *until)
    }
}

fn as_if_alive(seen: ObservedContainer) -> ObservedContainer {
    let state = match seen.state {
        ContainerState::Exited(Exit { started_at: Some(since), .. }) => ContainerState::Running { since },
        state => state,
    };
    ObservedContainer { state, ..seen }
}

fn no_room() -> RuntimeError {
    RuntimeError::Retry { message: "no space left on device".to_owned(), after: None }
}

#[async_trait]
impl ContainerRuntime for Engine {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.inner.info().await
    }

    async fn ensure_image(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError> {
        if self.ails(Ailment::WrongImages) {
            let message = "manifest unknown".to_owned();
            return Err(RuntimeError::Permanent { kind: FailureKind::Image, message });
        }
        if self.ails(Ailment::NoImages) {
            let message = "the registry does not answer".to_owned();
            return Err(RuntimeError::Retry { message, after: None });
        }
        if self.ails(Ailment::Full) {
            return Err(no_room());
        }
        self.inner.ensure_image(image, progress).await
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        if self.ails(Ailment::Full) {
            return Err(no_room());
        }
        self.inner.create(request).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if self.planted == Some(Planted::StartsNothing) {
            return Ok(());
        }
        let started = self.inner.start(id).await;
        // The answer may be an error, and it runs all the same.
        let all = self.inner.containers();
        let ran = all.iter().find(|seen| seen.id == *id && seen.state != ContainerState::Created);
        if let Some(seen) = ran {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.started.insert((seen.labels.task, seen.labels.attempt));
        }
        started
    }

    async fn stop(&self, id: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError> {
        if matches!(self.planted, Some(Planted::StopsNothing | Planted::ForeignContainers)) {
            // Whoever believes what it says asks again and again: that takes its time, on any engine.
            self.env.sleep(Duration::from_secs(5)).await;
        }
        if self.planted == Some(Planted::StopsNothing) {
            return Ok(());
        }
        self.inner.stop(id, policy).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if self.planted == Some(Planted::RemovesNothing) {
            return Ok(());
        }
        self.inner.remove(id).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        let found = self.inner.list(owner).await?;
        if self.ails(Ailment::Slow) {
            self.env.sleep(Duration::from_millis(self.env.random_u64() % (SLOWEST_LIST * 1_000))).await;
        }
        if self.planted == Some(Planted::ForeignContainers) {
            return Ok(self.inner.containers());
        }
        if self.planted == Some(Planted::DeadSeemAlive) {
            return Ok(found.into_iter().map(as_if_alive).collect());
        }
        if !self.ails(Ailment::Stale) {
            return Ok(found);
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = |seen: &&ObservedContainer| {
            seen.labels.cluster == owner.cluster && seen.labels.node == owner.node
        };
        Ok(state.old.iter().filter(ours).cloned().collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        let found = self.inner.inspect(id).await?;
        Ok(if self.planted == Some(Planted::DeadSeemAlive) { found.map(as_if_alive) } else { found })
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        self.inner.events(owner)
    }

    fn checks(&self) -> Option<&dyn ContainerChecks> {
        ContainerRuntime::checks(&self.inner)
    }

    fn logs(&self) -> Option<&dyn ContainerLogs> {
        ContainerRuntime::logs(&self.inner)
    }

    fn images(&self) -> Option<&dyn ContainerImages> {
        ContainerRuntime::images(&self.inner)
    }
}
