//! Images: present or pulled; and imported, for machines without a registry.

mod failure;
mod known;
mod logins;
mod registries;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use docker_api::models::ImageBuildChunk;
use docker_api::opts::{ImageRemoveOpts, PullOpts, RegistryAuth};
use futures_util::StreamExt as _;
use hyper::Method;
use orch_core::runtime::{PullProgress, RuntimeError};
use orch_core::service::{ImageDigest, ImageRef};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::failure::{PullFailure, pull_failure};
pub(super) use self::logins::usual_file;
use self::registries::Registries;
use super::client::DEADLINE;
use super::engine::{Payload, query_value};
use super::error::EngineError;
use super::{DockerConfig, DockerRuntime};

/// The longest that a pull may take.
const WHOLE_PULL: Duration = Duration::from_secs(60 * 60);
/// The longest that an import may take.
const IMPORT: Duration = Duration::from_secs(120);

/// Pulls that run: a few at a time, and one of each repository, so that all that wait for the same digest share one, by
/// whichever of its names they ask.
pub(super) struct Pulls {
    slots: Semaphore,
    running: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    registries: Registries,
    /// A pull that says nothing for this long is given up.
    stall: Duration,
    login_file: Option<PathBuf>,
}

impl Pulls {
    pub(super) fn new(config: &DockerConfig) -> Self {
        Self {
            slots: Semaphore::new(config.concurrent_pulls.max(1)),
            running: Mutex::default(),
            registries: Registries::default(),
            stall: config.pull_stall,
            login_file: config.login_file.clone(),
        }
    }

    fn of(&self, repository: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, pull| Arc::strong_count(pull) > 1);
        running.entry(repository.to_owned()).or_default().clone()
    }
}

impl DockerRuntime {
    pub(super) async fn ensure(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError> {
        let reference = image.engine_reference();
        if let Some(id) = self.image_id(&reference).await? {
            return Ok(id);
        }
        let pulls = &self.inner.pulls;
        let pull = pulls.of(&image.repository());
        let _alone = pull.lock().await;
        // Whoever waited here finds what the one before pulled.
        if let Some(id) = self.image_id(&reference).await? {
            return Ok(id);
        }
        let _slot = pulls.slots.acquire().await.expect("the semaphore is never closed");
        if let Some((trouble, left)) = pulls.registries.pause(image.registry()) {
            return Err(failure::paused(&reference, image.registry(), trouble, left));
        }
        let login = logins::login(pulls.login_file.as_deref(), image.registry()).await;
        let pulled = self.client().run("pull", WHOLE_PULL, self.pull(image, login.auth, progress)).await;
        match pulled.map_err(|error| pull_failure(&reference, error, login.hint.as_deref())) {
            Ok(()) => pulls.registries.answered(image.registry()),
            Err(PullFailure::Final(error)) => {
                pulls.registries.answered(image.registry());
                return Err(error);
            }
            Err(PullFailure::Passing(error)) => return Err(error),
            Err(PullFailure::Registry(trouble, message)) => {
                let after = Some(pulls.registries.made_trouble(image.registry(), trouble));
                return Err(RuntimeError::Retry { message, after });
            }
        }
        self.image_id(&reference).await?.ok_or_else(|| RuntimeError::Retry {
            message: format!("{reference} was pulled, and is not there"),
            after: None,
        })
    }

    /// The image's content address; `None` if it is not on the node.
    async fn image_id(&self, reference: &str) -> Result<Option<ImageDigest>, EngineError> {
        Ok(self.inspect_image(reference).await?.map(|image| image.id))
    }

    async fn pull(
        &self,
        image: &ImageRef,
        auth: Option<RegistryAuth>,
        progress: PullProgress<'_>,
    ) -> Result<(), EngineError> {
        let stall = self.inner.pulls.stall;
        let session = self.client().session().await?;
        // A digest goes where a tag would; a tag beside it says nothing more.
        let repository = match image.registry() {
            orch_core::service::image::DEFAULT_REGISTRY => image.name().to_owned(),
            registry => format!("{registry}/{}", image.name()),
        };
        let tag = image.digest().or(image.tag()).unwrap_or("latest");
        let mut options = PullOpts::builder().image(repository).tag(tag);
        if let Some(auth) = auth {
            options = options.auth(auth);
        }
        let options = options.build();
        let images = session.docker.images();
        let mut stream = images.pull(&options);
        while let Some(item) =
            timeout(stall, stream.next()).await.map_err(|_| EngineError::Deadline(stall))?
        {
            match item.map_err(EngineError::from) {
                Ok(ImageBuildChunk::Error { error, .. }) => {
                    return Err(EngineError::Answer { status: 0, message: error });
                }
                Ok(ImageBuildChunk::PullStatus { status, id, progress_detail, .. }) => {
                    progress(&sentence(&status, id.as_deref(), progress_detail.as_ref()));
                }
                // Items can be cut by the transport; whether the pull worked is seen by looking for the image.
                Ok(_) | Err(EngineError::Unexpected(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes an image of one layer out of a tar archive, under `reference`; `changes` are Dockerfile instructions such as
    /// `CMD ["/web"]` and `ENV VERSION=1`. An image that bore the reference before loses it.
    ///
    /// # Errors
    /// The engine cannot be reached, or does not take the archive.
    pub async fn import_image(
        &self,
        reference: &ImageRef,
        tar: Bytes,
        changes: &[&str],
    ) -> Result<ImageDigest, RuntimeError> {
        #[derive(Deserialize)]
        struct Item {
            error: Option<String>,
        }
        let name = reference.engine_reference();
        let (repository, tag) = name.rsplit_once(':').unwrap_or((&name, "latest"));
        let mut query = format!("fromSrc=-&repo={}&tag={}", query_value(repository), query_value(tag));
        for change in changes {
            query.push_str("&changes=");
            query.push_str(&query_value(change));
        }
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/images/create?{query}"));
            let answer = client.engine.exchange(Method::POST, &path, Payload::Tar(tar)).await?;
            for item in serde_json::Deserializer::from_slice(&answer).into_iter::<Item>() {
                if let Some(message) = item.map_err(EngineError::unexpected)?.error {
                    return Err(EngineError::Answer { status: 0, message });
                }
            }
            Ok(())
        };
        client.run("import", IMPORT, call).await?;
        self.image_id(&name).await?.ok_or(RuntimeError::Gone)
    }

    /// Takes the reference off its image, and removes the image if it was the last. One that is gone is fine.
    ///
    /// # Errors
    /// The engine cannot be reached, or a container uses the image.
    pub async fn remove_image(&self, reference: &ImageRef) -> Result<(), RuntimeError> {
        let client = self.client();
        let call = async {
            let image =
                docker_api::Image::new(client.session().await?.docker.clone(), reference.engine_reference());
            match image.remove(&ImageRemoveOpts::default()).await.map_err(EngineError::from) {
                Err(error) if error.status() != Some(404) => Err(error),
                _ => Ok(()),
            }
        };
        Ok(client.run("image_remove", DEADLINE, call).await?)
    }
}

/// `3f4d: Downloading, 43 %`
fn sentence(
    status: &str,
    layer: Option<&str>,
    detail: Option<&docker_api::models::ProgressDetail>,
) -> String {
    let percent = detail.and_then(|d| (d.current? * 100).checked_div(d.total?));
    match (layer, percent) {
        (Some(layer), Some(percent)) => format!("{layer}: {status}, {percent} %"),
        (Some(layer), None) => format!("{layer}: {status}"),
        (None, _) => status.to_owned(),
    }
}
