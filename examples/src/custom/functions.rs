//! [`FunctionRuntime`]: "containers" that are functions of this very program, by the name of an image.
//!
//! For an embedder whose work is Rust: placement, restarts, rollouts and drains without a container engine. What a function
//! shares with others, memory above all, it shares with the whole process.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, BoxFuture, abortable};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::runtime::{
    ContainerChange, ContainerEvent, ContainerId, ContainerRuntime, ContainerState, CreateRequest,
    ObservedContainer, Owner, PullProgress, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use orch_core::service::{ImageDigest, ImageRef, StopPolicy};
use orch_core::task::{Exit, FailureKind};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Events that a slow listener may be behind; beyond it is told to list again.
const BUFFER: usize = 1024;
/// The exit code of a function that was given up, as of a process that was killed.
const KILLED: i32 = 137;
/// And of one that panicked, as Rust programs have it.
const PANICKED: i32 = 101;

/// What runs under an image's name: given its arguments and a token that says "stop", it answers an exit code.
pub type Function = Arc<dyn Fn(Vec<String>, CancellationToken) -> BoxFuture<'static, i32> + Send + Sync>;

/// Runs functions. Clones are handles on the same runtime.
#[derive(Clone)]
pub struct FunctionRuntime {
    env: SharedEnv,
    functions: Arc<BTreeMap<String, Function>>,
    table: Arc<Mutex<Table>>,
    events: broadcast::Sender<(Owner, ContainerEvent)>,
}

#[derive(Default)]
struct Table {
    made: u64,
    containers: BTreeMap<ContainerId, Container>,
}

struct Container {
    name: String,
    seen: ObservedContainer,
    function: Function,
    arguments: Vec<String>,
    run: Option<Run>,
}

/// One start of a container.
#[derive(Clone)]
struct Run {
    stop: CancellationToken,
    kill: AbortHandle,
    ended: watch::Receiver<bool>,
}

impl Run {
    async fn wait(&self) {
        // The sender goes only after it has said so.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

impl FunctionRuntime {
    /// A runtime of these functions, by the names of their images: `fn/ticker:1`.
    #[must_use]
    pub fn new(env: SharedEnv, functions: impl IntoIterator<Item = (String, Function)>) -> Self {
        let functions = Arc::new(functions.into_iter().collect());
        Self { env, functions, table: Arc::default(), events: broadcast::channel(BUFFER).0 }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, seen: &ObservedContainer, change: ContainerChange) {
        let owner = Owner { cluster: seen.labels.cluster, node: seen.labels.node };
        // Nobody listening is fine: who comes later lists first.
        let _ =
            self.events.send((owner, ContainerEvent::new(seen.id.clone(), Some(seen.labels.task), change)));
    }

    fn run_of(&self, id: &ContainerId) -> Option<Run> {
        self.table().containers.get(id)?.run.clone()
    }

    /// Writes an end down and tells it, before anybody who waits for it goes on.
    fn ended(&self, id: &ContainerId, code: i32) {
        let mut table = self.table();
        let Some(container) = table.containers.get_mut(id) else { return };
        let ContainerState::Running { since } = container.seen.state else { return };
        let exit = Exit { code: Some(code), started_at: Some(since), at: self.env.now(), ..Exit::default() };
        container.seen.state = ContainerState::Exited(exit.clone());
        container.run = None;
        self.tell(&container.seen, ContainerChange::Ended(exit));
    }
}

#[async_trait]
impl ContainerRuntime for FunctionRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(RuntimeInfo {
            kind: "functions",
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: None,
        })
    }

    /// All that there is, is there already.
    async fn ensure_image(&self, image: &ImageRef, _: PullProgress<'_>) -> Result<ImageDigest, RuntimeError> {
        let name = image.to_string();
        if self.functions.contains_key(&name) {
            return Ok(ImageDigest(name));
        }
        Err(RuntimeError::permanent(FailureKind::Image, format!("this program has no function `{name}`")))
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        let missing =
            || RuntimeError::permanent(FailureKind::Image, format!("no function `{}`", request.image));
        let function = self.functions.get(&request.image.0).ok_or_else(missing)?.clone();
        let mut table = self.table();
        if let Some(other) = table.containers.values().find(|container| container.name == request.name) {
            return match other.seen.labels == *request.labels {
                true => Ok(other.seen.id.clone()),
                false => {
                    let message = format!("the name {} is another task's", request.name);
                    Err(RuntimeError::permanent(FailureKind::Engine, message))
                }
            };
        }
        table.made += 1;
        let id = ContainerId(format!("fn-{}", table.made));
        let seen = ObservedContainer {
            id: id.clone(),
            labels: request.labels.clone(),
            state: ContainerState::Created,
        };
        self.tell(&seen, ContainerChange::Created);
        let arguments = request.template.command.clone();
        let container = Container { name: request.name.to_owned(), seen, function, arguments, run: None };
        table.containers.insert(id.clone(), container);
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let mut table = self.table();
        let container = table.containers.get_mut(id).ok_or(RuntimeError::Gone)?;
        if container.run.is_some() {
            return Ok(());
        }
        let (stop, (said, ended)) = (CancellationToken::new(), watch::channel(false));
        let work = (container.function)(container.arguments.clone(), stop.clone());
        let (work, kill) = abortable(AssertUnwindSafe(work).catch_unwind());
        container.run = Some(Run { stop, kill, ended });
        let since = self.env.now();
        container.seen.state = ContainerState::Running { since };
        self.tell(&container.seen, ContainerChange::Started { since });
        let (this, id) = (self.clone(), id.clone());
        self.env.spawn(Box::pin(async move {
            let code = match work.await {
                Ok(Ok(code)) => code,
                Ok(Err(_)) => PANICKED,
                Err(_) => KILLED,
            };
            this.ended(&id, code);
            said.send_replace(true);
        }));
        Ok(())
    }

    async fn stop(&self, id: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError> {
        let Some(run) = self.run_of(id) else { return Ok(()) };
        run.stop.cancel();
        tokio::select! {
            biased;
            () = run.wait() => {}
            () = self.env.sleep(policy.grace) => {
                run.kill.abort();
                run.wait().await;
            }
        }
        Ok(())
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if let Some(run) = self.run_of(id) {
            run.kill.abort();
            run.wait().await;
        }
        let removed = self.table().containers.remove(id);
        if let Some(container) = removed {
            self.tell(&container.seen, ContainerChange::Removed);
        }
        Ok(())
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        let table = self.table();
        let all = table.containers.values().map(|container| &container.seen);
        let ours = all.filter(|seen| seen.labels.cluster == owner.cluster && seen.labels.node == owner.node);
        Ok(ours.cloned().collect())
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        Ok(self.table().containers.get(id).map(|container| container.seen.clone()))
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        use broadcast::error::RecvError::{Closed, Lagged};
        let owner = *owner;
        // The handle keeps the sender alive: the stream never ends.
        let state = (self.events.subscribe(), self.clone());
        unfold(state, move |(mut told, runtime)| async move {
            loop {
                let event = match told.recv().await {
                    Ok((of, event)) if of == owner => RuntimeEvent::Changed(event),
                    Ok(_) => continue,
                    Err(Lagged(_)) => RuntimeEvent::Reconnected,
                    Err(Closed) => return None,
                };
                return Some((event, (told, runtime)));
            }
        })
        .boxed()
    }
}
