//! [`FakeRuntime`]: a container runtime in memory, with faults to order; for tests and for the simulation.

mod faults;
mod images;
mod log;
mod stats;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::broadcast;

pub use faults::{Call, Fault, FaultSource};
pub use images::FAKE_IMAGE_BYTES;

use crate::env::{EnvExt as _, SharedEnv};
use crate::id::TaskId;
use crate::runtime::{
    CheckResult, ContainerChange, ContainerChecks, ContainerEvent, ContainerId, ContainerImages,
    ContainerLabels, ContainerLogs, ContainerRuntime, ContainerState, ContainerStats, CreateRequest,
    ObservedContainer, Owner, PullProgress, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use crate::service::{ImageDigest, ImageRef, StopPolicy};
use crate::task::Exit;
use crate::time::Monotonic;

/// Events that a slow listener may be behind; beyond it they are lost, and it is told to list again.
const EVENT_BUFFER: usize = 256;

/// A runtime in memory. Clones are handles on the same one: it goes on while agents come and go, as an engine does.
///
/// Time comes from its [`Env`](crate::env::Env), so that it runs under paused and simulated time.
#[derive(Clone)]
pub struct FakeRuntime {
    env: SharedEnv,
    state: Arc<Mutex<State>>,
    /// `None`: whoever listens.
    events: broadcast::Sender<(Option<Owner>, RuntimeEvent)>,
}

/// How long things take, and what containers do.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// A pull of an image that is not there yet.
    pub pull_delay: Duration,
    /// Creating a container.
    pub create_delay: Duration,
    /// Starting one.
    pub start_delay: Duration,
    /// From the stop signal to the exit.
    pub stop_delay: Duration,
    /// For so long after a container's end nothing is answered about it: real engines tidy up first.
    pub tidy_delay: Duration,
    /// What commands of health checks take.
    pub check_delay: Duration,
    /// What they end with.
    pub check_exit: i32,
    /// Containers exit by themselves, so long after their start, with this code.
    pub exit_after: Option<(Duration, i32)>,
}

struct State {
    behaviour: Behaviour,
    images: images::Images,
    containers: BTreeMap<ContainerId, Container>,
    next: u64,
    reachable: bool,
    faults: faults::Faults,
    calls: BTreeMap<Call, usize>,
    pulls: usize,
    eaten_events: usize,
    doubled_events: bool,
}

struct Container {
    name: String,
    seen: ObservedContainer,
    /// Counts starts, so that a timer of an earlier run does not end a later one.
    run: u64,
    /// When its last run ended.
    ended: Option<Monotonic>,
    log: log::Log,
}

impl std::fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeRuntime").field("containers", &self.containers()).finish_non_exhaustive()
    }
}

impl FakeRuntime {
    /// A runtime without images and containers, in which everything takes no time.
    #[must_use]
    pub fn new(env: SharedEnv) -> Self {
        let state = State {
            behaviour: Behaviour::default(),
            images: images::Images::default(),
            containers: BTreeMap::new(),
            next: 1,
            reachable: true,
            faults: faults::Faults::default(),
            calls: BTreeMap::new(),
            pulls: 0,
            eaten_events: 0,
            doubled_events: false,
        };
        let (events, _) = broadcast::channel(EVENT_BUFFER);
        Self { env, state: Arc::new(Mutex::new(state)), events }
    }

    /// Changes how long things take.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().behaviour);
    }

    /// The next call of this kind meets `fault`; several queue up.
    pub fn fail_next(&self, call: Call, fault: Fault) {
        self.state().faults.queue(call, fault);
    }

    /// Asked before each call; what was ordered by [`FakeRuntime::fail_next`] comes first. `None` ends it.
    pub fn set_fault_source(&self, source: Option<FaultSource>) {
        self.state().faults.set_source(source);
    }

    /// Cuts the runtime off, or brings it back: every call fails while it is away, and listeners are told both.
    pub fn set_reachable(&self, reachable: bool) {
        if std::mem::replace(&mut self.state().reachable, reachable) == reachable {
            return;
        }
        self.tell(
            None,
            if reachable {
                RuntimeEvent::Reconnected
            } else {
                RuntimeEvent::Unreachable("the fake runtime was cut off".to_owned())
            },
        );
    }

    /// The engine is restarted: it goes away, all containers are killed, it comes back.
    pub fn restart_engine(&self) {
        self.set_reachable(false);
        let at = self.env.now();
        for container in self.state().containers.values_mut() {
            if matches!(container.seen.state, ContainerState::Running { .. }) {
                container.seen.state =
                    ContainerState::Exited(Exit { code: Some(137), at, ..Exit::default() });
                container.log.end();
            }
        }
        self.set_reachable(true);
    }

    /// The engine is stopped as its service manager does it: containers are ended, that is told, and then it is away.
    pub fn stop_engine(&self) {
        for container in self.containers() {
            self.kill(&container.id, 143);
        }
        self.set_reachable(false);
    }

    /// A container is killed for lack of memory. As on real engines the end is told first, without the reason for it.
    pub fn starve(&self, container: &ContainerId) {
        if !self.kill(container, 137) {
            return;
        }
        let seen = {
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(container) else { return };
            if let ContainerState::Exited(exit) = &mut container.seen.state {
                exit.oom_killed = true;
            }
            container.seen.clone()
        };
        self.changed(&seen, ContainerChange::OutOfMemory);
    }

    /// From now on each event about a container is told twice, or no longer.
    pub fn double_events(&self, doubled: bool) {
        self.state().doubled_events = doubled;
    }

    /// The next so many events are lost.
    pub fn eat_events(&self, count: usize) {
        self.state().eaten_events = count;
    }

    /// A container's process ends with `code`, behind the agent's back. Answers whether it ran.
    pub fn kill(&self, container: &ContainerId, code: i32) -> bool {
        self.end(container, None, Exit { code: Some(code), ..Exit::default() })
    }

    /// A container reaches its own memory limit. Answers whether it ran.
    pub fn run_out_of_memory(&self, container: &ContainerId) -> bool {
        self.end(container, None, Exit { code: Some(137), oom_killed: true, ..Exit::default() })
    }

    /// Ends the running container of a task; answers whether there was one.
    pub fn kill_task(&self, task: TaskId, code: i32) -> bool {
        self.running(task).is_some_and(|container| self.kill(&container.id, code))
    }

    /// A container is gone without a trace, running or not, and nobody is told.
    pub fn forget(&self, container: &ContainerId) {
        self.state().containers.remove(container);
    }

    /// A container that someone else put there.
    pub fn insert(&self, name: &str, labels: ContainerLabels, state: ContainerState) -> ContainerId {
        self.state().insert(name, labels, state)
    }

    /// Has an image on the node.
    pub fn add_image(&self, image: &ImageRef) -> ImageDigest {
        self.state().images.add(image)
    }

    /// A line of a container's standard output.
    pub fn write_log(&self, container: &ContainerId, line: &str) {
        let at = self.env.now().into();
        if let Some(container) = self.state().containers.get_mut(container) {
            container.log.write(at, line);
        }
    }

    /// All containers, of whoever, by id.
    #[must_use]
    pub fn containers(&self) -> Vec<ObservedContainer> {
        self.state().containers.values().map(|container| container.seen.clone()).collect()
    }

    /// A container's name.
    #[must_use]
    pub fn name_of(&self, container: &ContainerId) -> Option<String> {
        self.state().containers.get(container).map(|container| container.name.clone())
    }

    /// The containers of a task, by id.
    #[must_use]
    pub fn of_task(&self, task: TaskId) -> Vec<ObservedContainer> {
        self.containers().into_iter().filter(|container| container.labels.task == task).collect()
    }

    /// The running container of a task, if there is one.
    #[must_use]
    pub fn running(&self, task: TaskId) -> Option<ObservedContainer> {
        self.of_task(task)
            .into_iter()
            .find(|container| matches!(container.state, ContainerState::Running { .. }))
    }

    /// How often a call was made.
    #[must_use]
    pub fn calls(&self, call: Call) -> usize {
        self.state().calls.get(&call).copied().unwrap_or(0)
    }

    /// How often an image was really fetched.
    #[must_use]
    pub fn pulls(&self) -> usize {
        self.state().pulls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tell(&self, owner: Option<Owner>, event: RuntimeEvent) {
        // Nobody listening is nobody's loss: who comes later lists first.
        let _ = self.events.send((owner, event));
    }

    fn changed(&self, container: &ObservedContainer, change: ContainerChange) {
        let doubled = {
            let mut state = self.state();
            if state.eaten_events > 0 {
                state.eaten_events -= 1;
                return;
            }
            state.doubled_events
        };
        let owner = Owner { cluster: container.labels.cluster, node: container.labels.node };
        let event = ContainerEvent::new(container.id.clone(), Some(container.labels.task), change);
        if doubled {
            self.tell(Some(owner), RuntimeEvent::Changed(event.clone()));
        }
        self.tell(Some(owner), RuntimeEvent::Changed(event));
    }

    /// Ends a running container; with `run`, only if that is still the run it is in.
    fn end(&self, id: &ContainerId, run: Option<u64>, exit: Exit) -> bool {
        let (seen, exit) = {
            let exit = Exit { at: self.env.now(), ..exit };
            let ended = Some(self.env.monotonic());
            let mut state = self.state();
            let Some(container) = state.containers.get_mut(id) else { return false };
            let ContainerState::Running { since } = container.seen.state else { return false };
            if run.is_some_and(|run| run != container.run) {
                return false;
            }
            let exit = Exit { started_at: Some(since), ..exit };
            container.seen.state = ContainerState::Exited(exit.clone());
            container.ended = ended;
            container.log.end();
            (container.seen.clone(), exit)
        };
        self.changed(&seen, ContainerChange::Ended(exit));
        true
    }

    /// Counts the call, and meets whatever was ordered for it. Answers whether to fail after doing it.
    async fn begin(&self, call: Call) -> Result<bool, RuntimeError> {
        let fault = {
            let mut state = self.state();
            *state.calls.entry(call).or_default() += 1;
            if !state.reachable {
                return Err(unreachable("the fake runtime is cut off"));
            }
            state.faults.next(call)
        };
        match fault {
            None => Ok(false),
            Some(Fault::AfterDoing) => Ok(true),
            Some(Fault::Unreachable) => Err(unreachable("ordered by the test")),
            Some(Fault::Retry(message)) => Err(RuntimeError::Retry { message, after: None }),
            Some(Fault::Permanent(kind, message)) => Err(RuntimeError::Permanent { kind, message }),
            Some(Fault::Slow(duration)) => {
                self.env.sleep(duration).await;
                Ok(false)
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    fn answer<T>(&self, fail: bool, value: T) -> Result<T, RuntimeError> {
        if fail || !self.state().reachable {
            return Err(unreachable("the answer was lost"));
        }
        Ok(value)
    }

    /// Waits until these containers, as far as they have ended, have been tidied up behind.
    async fn tidied_up(&self, asked: impl Fn(&ObservedContainer) -> bool) {
        let delay = self.state().behaviour.tidy_delay;
        if delay.is_zero() {
            return;
        }
        let now = self.env.monotonic();
        let latest = {
            let state = self.state();
            let ended = state.containers.values().filter(|container| asked(&container.seen));
            ended.filter_map(|container| container.ended).max()
        };
        if let Some(end) = latest.map(|ended| ended + delay).filter(|end| *end > now) {
            self.env.sleep_until(end).await;
        }
    }

    async fn takes(&self, duration: impl FnOnce(&Behaviour) -> Duration) {
        let duration = duration(&self.state().behaviour);
        if !duration.is_zero() {
            self.env.sleep(duration).await;
        }
    }
}

impl State {
    fn insert(&mut self, name: &str, labels: ContainerLabels, state: ContainerState) -> ContainerId {
        let id = ContainerId(format!("fake{:012x}", self.next));
        self.next += 1;
        let seen = ObservedContainer { id: id.clone(), labels, state };
        let container =
            Container { name: name.to_owned(), seen, run: 0, ended: None, log: log::Log::default() };
        self.containers.insert(id.clone(), container);
        id
    }
}

fn unreachable(why: &str) -> RuntimeError {
    RuntimeError::Unreachable(why.into())
}

#[async_trait]
impl ContainerChecks for FakeRuntime {
    async fn check(
        &self,
        container: &ContainerId,
        _command: &[String],
        timeout: Duration,
    ) -> Result<CheckResult, RuntimeError> {
        let fail = self.begin(Call::Check).await?;
        if !self.state().containers.contains_key(container) {
            return Err(RuntimeError::Gone);
        }
        let (takes, code) = {
            let state = self.state();
            (state.behaviour.check_delay, state.behaviour.check_exit)
        };
        if !takes.is_zero() {
            self.env.sleep(takes.min(timeout)).await;
        }
        let ended = CheckResult::Exited { code, output: "checked\n".to_owned() };
        self.answer(fail, if takes > timeout { CheckResult::TimedOut } else { ended })
    }
}

#[async_trait]
impl ContainerRuntime for FakeRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let fail = self.begin(Call::Info).await?;
        self.answer(fail, RuntimeInfo { kind: "fake", version: "1".to_owned(), api_version: None })
    }

    async fn ensure_image(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError> {
        let fail = self.begin(Call::EnsureImage).await?;
        let present = self.state().images.present(image);
        let digest = match present {
            Some(digest) => digest,
            None => {
                self.state().pulls += 1;
                progress("layer 1 of 1");
                self.takes(|behaviour| behaviour.pull_delay).await;
                self.state().images.pull(image)?
            }
        };
        self.answer(fail, digest)
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        let fail = self.begin(Call::Create).await?;
        self.takes(|behaviour| behaviour.create_delay).await;
        let (id, made) = {
            let mut state = self.state();
            let same_name = state.containers.values().find(|container| container.name == request.name);
            match same_name {
                Some(other) if other.seen.labels == *request.labels => (other.seen.id.clone(), None),
                Some(_) => {
                    let message = format!("the name {} is in use", request.name);
                    return Err(RuntimeError::Retry { message, after: None });
                }
                None => {
                    let id = state.insert(request.name, request.labels.clone(), ContainerState::Created);
                    let seen = state.containers[&id].seen.clone();
                    (id, Some(seen))
                }
            }
        };
        if let Some(seen) = made {
            self.changed(&seen, ContainerChange::Created);
        }
        self.answer(fail, id)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let fail = self.begin(Call::Start).await?;
        self.takes(|behaviour| behaviour.start_delay).await;
        let since = self.env.now();
        let started = {
            let mut state = self.state();
            let exit_after = state.behaviour.exit_after;
            let container = state.containers.get_mut(id).ok_or(RuntimeError::Gone)?;
            if matches!(container.seen.state, ContainerState::Running { .. }) {
                None
            } else {
                container.run += 1;
                container.seen.state = ContainerState::Running { since };
                container.log.begin();
                Some((container.seen.clone(), container.run, exit_after))
            }
        };
        if let Some((seen, run, exit_after)) = started {
            self.changed(&seen, ContainerChange::Started { since });
            if let Some((after, code)) = exit_after {
                let (this, id) = (self.clone(), id.clone());
                self.env.spawn(Box::pin(async move {
                    this.env.sleep(after).await;
                    this.end(&id, Some(run), Exit { code: Some(code), ..Exit::default() });
                }));
            }
        }
        self.answer(fail, ())
    }

    async fn stop(&self, id: &ContainerId, _policy: &StopPolicy) -> Result<(), RuntimeError> {
        let fail = self.begin(Call::Stop).await?;
        self.takes(|behaviour| behaviour.stop_delay).await;
        self.end(id, None, Exit { code: Some(143), by_us: true, ..Exit::default() });
        self.answer(fail, ())
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let fail = self.begin(Call::Remove).await?;
        let removed = self.state().containers.remove(id);
        if let Some(container) = removed {
            self.changed(&container.seen, ContainerChange::Removed);
        }
        self.answer(fail, ())
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        let fail = self.begin(Call::List).await?;
        let ours =
            |seen: &ObservedContainer| seen.labels.cluster == owner.cluster && seen.labels.node == owner.node;
        self.tidied_up(ours).await;
        let found = self.containers().into_iter().filter(ours).collect();
        self.answer(fail, found)
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        let fail = self.begin(Call::Inspect).await?;
        self.tidied_up(|seen| seen.id == *id).await;
        let found = self.state().containers.get(id).map(|container| container.seen.clone());
        self.answer(fail, found)
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        let owner = *owner;
        futures_util::stream::unfold(self.events.subscribe(), |mut receiver| async move {
            let item = match receiver.recv().await {
                Ok(item) => Some(item),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                // The runtime itself is gone: the stream never ends, it falls silent.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            };
            Some((item, receiver))
        })
        .filter_map(move |item| {
            std::future::ready(match item {
                None => Some(RuntimeEvent::Reconnected),
                Some((of, event)) => of.is_none_or(|of| of == owner).then_some(event),
            })
        })
        .boxed()
    }

    fn checks(&self) -> Option<&dyn ContainerChecks> {
        Some(self)
    }

    fn logs(&self) -> Option<&dyn ContainerLogs> {
        Some(self)
    }

    fn images(&self) -> Option<&dyn ContainerImages> {
        Some(self)
    }

    fn stats(&self) -> Option<&dyn ContainerStats> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
