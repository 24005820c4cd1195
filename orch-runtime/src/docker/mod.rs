//! [`DockerRuntime`]: containers by way of a Docker Engine, 20.10 (API 1.41) to 29.
//!
//! Two halves speak with the engine: the `docker-api` crate where it does the call right (version, inspect, list, stop,
//! remove, pull, events), and [`engine`], raw HTTP on kept-alive connections, for what it cannot say (create, import),
//! what it reads wrongly (logs) and the hot path (start). No type of either leaves this module.

mod client;
mod create;
mod engine;
mod error;
mod events;
mod exec;
mod image;
mod lifecycle;
mod logs;
mod mounts;
mod observe;
mod quiet;
mod secrets;
mod settings;
mod socket;
mod stats;
mod version;
mod volumes;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use orch_core::id::TaskId;
use orch_core::runtime::{
    ContainerChecks, ContainerExec, ContainerId, ContainerImages, ContainerLabels, ContainerLogs,
    ContainerRuntime, ContainerStats, CreateRequest, ObservedContainer, Owner, PullProgress, RuntimeError,
    RuntimeEvent, RuntimeInfo,
};
use orch_core::service::{ImageDigest, ImageRef, StopPolicy};
use orch_core::task::Attempt;

use self::client::Client;
use self::image::Pulls;
pub use self::quiet::may_be_logged;
use self::secrets::SecretFiles;
pub use self::socket::{DockerSocket, InvalidDockerHost};
pub use self::volumes::volume_name;

/// How a [`DockerRuntime`] is set up.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The engine's socket.
    pub socket: DockerSocket,
    /// Where the files of secrets are kept: a folder on a tmpfs that only the agent may read.
    pub secrets_dir: PathBuf,
    /// How many images are pulled at the same time.
    pub concurrent_pulls: usize,
    /// A pull that says nothing for this long is given up, and tried again after a back-off. By default a minute.
    pub pull_stall: Duration,
    /// The Docker config file whose `auths` say how to log in at registries; read anew for each pull, and never logged. By
    /// default `config.json` in the folder `DOCKER_CONFIG`, else in `~/.docker`; credential helpers are not run.
    pub login_file: Option<PathBuf>,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            socket: DockerSocket::default(),
            secrets_dir: PathBuf::from("/run/orch/secrets"),
            concurrent_pulls: 3,
            pull_stall: Duration::from_secs(60),
            login_file: image::usual_file(),
        }
    }
}

/// Containers by way of a Docker Engine. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    secrets: SecretFiles,
    pulls: Pulls,
    ours: Ours,
    unfinished: exec::Unfinished,
}

impl DockerRuntime {
    /// A runtime on `config`. Nothing is asked of the engine before the first call.
    #[must_use]
    pub fn new(config: DockerConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                pulls: Pulls::new(&config),
                client: Client::new(config.socket),
                secrets: SecretFiles::new(config.secrets_dir),
                ours: Ours::default(),
                unfinished: exec::Unfinished::default(),
            }),
        }
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }
}

impl std::fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerRuntime").field("socket", self.client().socket()).finish_non_exhaustive()
    }
}

/// Containers that were seen to bear our labels, so that the ones met again need no second look before they are touched.
#[derive(Default)]
struct Ours(Mutex<HashMap<ContainerId, Known>>);

/// What is known of a container of ours.
#[derive(Clone, Copy)]
struct Known {
    task: TaskId,
    attempt: Attempt,
    /// The engine's events said that it ran out of memory. Where the word comes after the exit, engines forget to note it.
    out_of_memory: bool,
}

impl Ours {
    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &ContainerId) -> Option<Known> {
        self.lock().get(id).copied()
    }

    fn insert(&self, id: &ContainerId, labels: &ContainerLabels) {
        let (task, attempt) = (labels.task, labels.attempt);
        self.lock().entry(id.clone()).or_insert(Known { task, attempt, out_of_memory: false });
    }

    fn ran_out_of_memory(&self, id: &ContainerId) {
        if let Some(known) = self.lock().get_mut(id) {
            known.out_of_memory = true;
        }
    }

    fn remove(&self, id: &ContainerId) {
        self.lock().remove(id);
    }
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.client().renegotiate().await
    }

    async fn ensure_image(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError> {
        self.ensure(image, progress).await
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        self.create_container(request).await
    }

    async fn start(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        self.start_container(container).await
    }

    async fn stop(&self, container: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError> {
        self.stop_container(container, policy).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        self.remove_container(container).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        self.list_containers(owner).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        self.observe(container).await
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        events::subscribe(self.clone(), *owner)
    }

    fn checks(&self) -> Option<&dyn ContainerChecks> {
        Some(self)
    }

    fn logs(&self) -> Option<&dyn ContainerLogs> {
        Some(self)
    }

    fn exec(&self) -> Option<&dyn ContainerExec> {
        Some(self)
    }

    fn images(&self) -> Option<&dyn ContainerImages> {
        Some(self)
    }

    fn stats(&self) -> Option<&dyn ContainerStats> {
        Some(self)
    }
}
