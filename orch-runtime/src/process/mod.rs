//! [`ProcessRuntime`]: tasks as plain child processes, for machines without a container engine.
//!
//! A task's `entrypoint` and `command` name the program; its image is a name and nothing more (`process/web`). A process
//! has its own process group, writes to a file, and lives on when the agent ends; an agent that comes back finds it by
//! process id and start time. Only the agent that started a process learns its exit code: of one that outlived its agent
//! it is unknown.
//!
//! There is no isolation: a process sees the node's files, network and processes. Wishes that would need it are refused,
//! and limits of CPU and memory are not enforced. A service manager must not kill the agent's whole control group with
//! it (systemd: `KillMode=process`).

mod identity;
mod logs;
mod program;
mod record;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use nix::sys::signal::Signal;
use orch_core::runtime::{
    ContainerChange, ContainerEvent, ContainerId, ContainerLogs, ContainerRuntime, ContainerState,
    CreateRequest, ObservedContainer, Owner, PullProgress, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use orch_core::service::{ImageDigest, ImageRef, StopPolicy};
use orch_core::task::{Exit, FailureKind};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep};

use self::identity::ProcessId;
use self::program::{Program, SecretEnv};
use self::record::{Record, Records};

/// How often a process is looked at whose end no one tells us of.
const GLANCE: Duration = Duration::from_millis(100);
/// How often the end of a process is looked for that was told to go.
const STOP_GLANCE: Duration = Duration::from_millis(10);
/// What the kernel may take to end a process that was killed.
const AFTER_KILL: Duration = Duration::from_secs(10);
/// Events that a listener has not taken yet; one that falls behind is told to list again.
const BUFFER: usize = 1024;

/// How a [`ProcessRuntime`] is set up.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Where records and output of processes are kept; must outlive the agent, and belong to one agent.
    pub state_dir: PathBuf,
}

/// Tasks as plain child processes. Cheap to clone.
#[derive(Clone)]
pub struct ProcessRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    records: Records,
    /// Held over each change of a record: short, and without waiting inside.
    memory: Mutex<Memory>,
    events: broadcast::Sender<(Owner, ContainerEvent)>,
}

/// What is not on disk.
#[derive(Default)]
struct Memory {
    /// Environment variables from secrets, of processes that are created and not started: never written down.
    secrets: HashMap<ContainerId, SecretEnv>,
    /// Running processes whose end will be recorded by a task of ours, and whether that task is told the exit code.
    watched: HashMap<ContainerId, Watch>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    OwnChild,
    Adopted,
}

impl ProcessRuntime {
    /// A runtime with its records in `config.state_dir`, which is made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(config: ProcessConfig) -> std::io::Result<Self> {
        let records = Records::open(config.state_dir)?;
        let (events, _) = broadcast::channel(BUFFER);
        Ok(Self { inner: Arc::new(Inner { records, memory: Mutex::default(), events }) })
    }
}

impl std::fmt::Debug for ProcessRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessRuntime").field("records", &self.inner.records).finish_non_exhaustive()
    }
}

impl Inner {
    fn tell(&self, id: &ContainerId, record: &Record, change: ContainerChange) {
        let event = ContainerEvent::new(id.clone(), Some(record.labels.task), change);
        // No listener is fine.
        let _ = self.events.send((record.owner(), event));
    }

    /// The container's record and state. A process that ended unseen is recorded as ended now.
    fn look(self: &Arc<Self>, id: &ContainerId) -> Result<Option<(Record, ContainerState)>, RuntimeError> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut record) = self.records.read(id)? else { return Ok(None) };
        let state = match (&record.exit, &record.process) {
            (Some(exit), _) => ContainerState::Exited(exit.clone()),
            (None, None) => ContainerState::Created,
            (None, Some(process)) => {
                let watched = memory.watched.get(id).copied();
                if watched == Some(Watch::OwnChild) || process.is_alive() {
                    if watched.is_none() {
                        memory.watched.insert(id.clone(), Watch::Adopted);
                        tokio::spawn(self.clone().watch(id.clone(), process.clone()));
                    }
                    ContainerState::Running { since: process.since }
                } else {
                    let since = Some(process.since);
                    let exit = Exit { started_at: since, at: identity::now(), ..Exit::default() };
                    memory.watched.remove(id);
                    record.exit = Some(exit.clone());
                    self.records.write(id, &record)?;
                    self.tell(id, &record, ContainerChange::Ended(exit.clone()));
                    ContainerState::Exited(exit)
                }
            }
        };
        Ok(Some((record, state)))
    }

    /// Waits for the end of a process that is no child of ours.
    async fn watch(self: Arc<Self>, id: ContainerId, process: ProcessId) {
        while process.is_alive() {
            sleep(GLANCE).await;
        }
        if let Err(error) = self.look(&id) {
            tracing::warn!(container = %id, %error, "the end of a process cannot be recorded");
        }
    }

    /// Waits for the end of a child, and records how it ended.
    async fn reap(self: Arc<Self>, id: ContainerId, process: ProcessId, mut child: tokio::process::Child) {
        let exit = match child.wait().await {
            Ok(status) => program::exit(status),
            Err(error) => Exit { error: Some(error.to_string()), at: identity::now(), ..Exit::default() },
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.watched.remove(&id);
        let recorded = self.records.read(&id).and_then(|record| match record {
            Some(mut record) if record.process.as_ref() == Some(&process) => {
                let exit = Exit { started_at: Some(process.since), ..exit };
                record.exit = Some(exit.clone());
                self.records.write(&id, &record)?;
                self.tell(&id, &record, ContainerChange::Ended(exit));
                Ok(())
            }
            _ => Ok(()),
        });
        if let Err(error) = recorded {
            tracing::warn!(container = %id, %error, "the end of a process cannot be recorded");
        }
    }

    fn start(self: &Arc<Self>, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = self.records.read(id)?.ok_or(RuntimeError::Gone)?;
        let runs = record.exit.is_none()
            && record.process.as_ref().is_some_and(|process| {
                memory.watched.get(id) == Some(&Watch::OwnChild) || process.is_alive()
            });
        if runs {
            return Ok(());
        }
        let none = SecretEnv::default();
        let secrets = match memory.secrets.get(id) {
            Some(secrets) => secrets,
            None if record.program.needs_secrets => {
                // They went with the agent that had them: what is left cannot be started, and is as good as gone.
                self.records.remove(id)?;
                return Err(RuntimeError::Gone);
            }
            None => &none,
        };
        let child = record.program.spawn(secrets, self.records.output(id)?)?;
        let process = ProcessId::of(child.id().ok_or(RuntimeError::Gone)?);
        record.process = Some(process.clone());
        record.exit = None;
        memory.watched.insert(id.clone(), Watch::OwnChild);
        tokio::spawn(self.clone().reap(id.clone(), process.clone(), child));
        if let Err(error) = self.records.write(id, &record) {
            // What is not recorded would be started a second time.
            process.signal(Signal::SIGKILL);
            return Err(error);
        }
        memory.secrets.remove(id);
        self.tell(id, &record, ContainerChange::Started { since: process.since });
        Ok(())
    }

    /// Looks until the process has ended, for at most `patience`; answers whether it has.
    async fn ended(self: &Arc<Self>, id: &ContainerId, patience: Duration) -> Result<bool, RuntimeError> {
        let end = Instant::now() + patience;
        loop {
            match self.look(id)? {
                Some((_, ContainerState::Running { .. })) if Instant::now() < end => sleep(STOP_GLANCE).await,
                Some((_, ContainerState::Running { .. })) => return Ok(false),
                _ => return Ok(true),
            }
        }
    }

    async fn kill(self: &Arc<Self>, id: &ContainerId, process: &ProcessId) -> Result<(), RuntimeError> {
        process.signal(Signal::SIGKILL);
        if self.ended(id, AFTER_KILL).await? {
            return Ok(());
        }
        let message = "the process was killed, and does not end".to_owned();
        Err(RuntimeError::Retry { message, after: None })
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(RuntimeInfo { kind: "process", version, api_version: None })
    }

    async fn ensure_image(&self, image: &ImageRef, _: PullProgress<'_>) -> Result<ImageDigest, RuntimeError> {
        Ok(ImageDigest(format!("process:{image}")))
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        let id = ContainerId(request.name.to_owned());
        let (program, secrets) = Program::new(&request)?;
        let mut memory = self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match self.inner.records.read(&id)? {
            Some(there) if there.labels != *request.labels => {
                let message = format!("the name {id} is taken by a process that is not this attempt's");
                return Err(RuntimeError::permanent(FailureKind::Engine, message));
            }
            Some(_) => {}
            None => {
                let record = Record { labels: request.labels.clone(), program, process: None, exit: None };
                self.inner.records.create(&id, &record)?;
                self.inner.tell(&id, &record, ContainerChange::Created);
            }
        }
        memory.secrets.insert(id.clone(), secrets);
        Ok(id)
    }

    async fn start(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        self.inner.start(container)
    }

    async fn stop(&self, container: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError> {
        let Some((Record { process: Some(process), .. }, ContainerState::Running { .. })) =
            self.inner.look(container)?
        else {
            return Ok(());
        };
        let signal = match policy.signal.as_deref() {
            None => Signal::SIGTERM,
            Some(name) => program::signal(name)?,
        };
        process.signal(signal);
        if self.inner.ended(container, policy.grace).await? {
            return Ok(());
        }
        self.inner.kill(container, &process).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        let Some((record, state)) = self.inner.look(container)? else { return Ok(()) };
        if let (ContainerState::Running { .. }, Some(process)) = (&state, &record.process) {
            self.inner.kill(container, process).await?;
        }
        let mut memory = self.inner.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.secrets.remove(container);
        self.inner.records.remove(container)?;
        self.inner.tell(container, &record, ContainerChange::Removed);
        Ok(())
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        let mut found = Vec::new();
        for id in self.inner.records.ids()? {
            match self.inner.look(&id) {
                Ok(Some((record, state))) if record.owner() == *owner => {
                    found.push(ObservedContainer { id, labels: record.labels, state });
                }
                Ok(_) => {}
                // One broken record must not hide the others; what it was about stays as it is.
                Err(error) => tracing::warn!(container = %id, %error, "a record cannot be read"),
            }
        }
        Ok(found)
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        let found = self.inner.look(container)?;
        Ok(found.map(|(record, state)| ObservedContainer {
            id: container.clone(),
            labels: record.labels,
            state,
        }))
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        let (events, owner) = (self.inner.events.subscribe(), *owner);
        stream::unfold(events, move |mut events| async move {
            loop {
                let event = match events.recv().await {
                    Ok((of, event)) if of == owner => RuntimeEvent::Changed(event),
                    Ok(_) => continue,
                    Err(broadcast::error::RecvError::Lagged(_)) => RuntimeEvent::Reconnected,
                    // The runtime is gone, and nothing happens any more.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                };
                return Some((event, events));
            }
        })
        .boxed()
    }

    fn logs(&self) -> Option<&dyn ContainerLogs> {
        Some(self)
    }
}
