//! Images: present or pulled; and imported, for machines without a registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use docker_api::models::ImageBuildChunk;
use docker_api::opts::{ImageRemoveOpts, PullOpts};
use futures_util::StreamExt as _;
use hyper::Method;
use orch_core::runtime::{PullProgress, RuntimeError};
use orch_core::service::{ImageDigest, ImageRef};
use orch_core::task::FailureKind;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::{Payload, query_value};
use super::error::EngineError;

/// A pull that says nothing for this long is given up.
const STALL: Duration = Duration::from_secs(60);
/// The longest that a pull may take.
const WHOLE_PULL: Duration = Duration::from_secs(60 * 60);
/// The longest that an import may take.
const IMPORT: Duration = Duration::from_secs(120);

/// Pulls that run: a few at a time, and one of each image, which all that wait for it share.
pub(super) struct Pulls {
    slots: Semaphore,
    running: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Pulls {
    pub(super) fn new(slots: usize) -> Self {
        Self { slots: Semaphore::new(slots.max(1)), running: Mutex::default() }
    }

    fn of(&self, reference: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, pull| Arc::strong_count(pull) > 1);
        running.entry(reference.to_owned()).or_default().clone()
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
        let pull = self.inner.pulls.of(&reference);
        let _alone = pull.lock().await;
        // Whoever waited here finds what the one before pulled.
        if let Some(id) = self.image_id(&reference).await? {
            return Ok(id);
        }
        let _slot = self.inner.pulls.slots.acquire().await.expect("the semaphore is never closed");
        let pulled = self.client().run("pull", WHOLE_PULL, self.pull(image, progress)).await;
        pulled.map_err(|error| pull_failure(&reference, error))?;
        self.image_id(&reference).await?.ok_or_else(|| RuntimeError::Retry {
            message: format!("{reference} was pulled, and is not there"),
            after: None,
        })
    }

    /// The image's content address; `None` if it is not on the node.
    async fn image_id(&self, reference: &str) -> Result<Option<ImageDigest>, EngineError> {
        #[derive(Deserialize)]
        struct Image {
            #[serde(rename = "Id")]
            id: ImageDigest,
        }
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/images/{reference}/json"));
            match client.engine.json::<Image>(Method::GET, &path, Payload::Empty).await {
                Ok(image) => Ok(Some(image.id)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        client.run("image_inspect", DEADLINE, call).await
    }

    async fn pull(&self, image: &ImageRef, progress: PullProgress<'_>) -> Result<(), EngineError> {
        let session = self.client().session().await?;
        // A digest goes where a tag would; a tag beside it says nothing more.
        let repository = match image.registry() {
            orch_core::service::image::DEFAULT_REGISTRY => image.name().to_owned(),
            registry => format!("{registry}/{}", image.name()),
        };
        let tag = image.digest().or(image.tag()).unwrap_or("latest");
        let options = PullOpts::builder().image(repository).tag(tag).build();
        let images = session.docker.images();
        let mut stream = images.pull(&options);
        while let Some(item) =
            timeout(STALL, stream.next()).await.map_err(|_| EngineError::Deadline(STALL))?
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
        client.run("import", IMPORT, call).await.map_err(|error| pull_failure(&name, error))?;
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

/// Sorts what registries and the engine say of a pull: it is all words, with hardly a status.
fn pull_failure(reference: &str, error: EngineError) -> RuntimeError {
    const TOO_MANY: [&str; 3] = ["toomanyrequests", "too many requests", "rate limit"];
    const FINAL: [&str; 10] = [
        "manifest unknown",
        "no matching manifest",
        "repository does not exist",
        "name unknown",
        "access denied",
        "access to the resource is denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
        "invalid reference format",
    ];
    let EngineError::Answer { status, message } = error else { return error.into() };
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let message = format!("image {reference}: {message}");
    if status == 429 || says(&TOO_MANY) {
        RuntimeError::Retry { message, after: None }
    } else if matches!(status, 400 | 401 | 403 | 404) || says(&FINAL) {
        RuntimeError::permanent(FailureKind::Image, message)
    } else {
        RuntimeError::Retry { message, after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_retry_can_mend_is_told_from_what_passes() {
        let failure = |status, message: &str| {
            pull_failure("web:1", EngineError::Answer { status, message: message.to_owned() })
        };
        for (status, text) in [
            (404, "pull access denied for web, repository does not exist or may require 'docker login'"),
            (0, "manifest unknown: manifest unknown"),
            (500, "unauthorized: authentication required"),
            (0, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
        ] {
            let error = failure(status, text);
            assert!(matches!(error, RuntimeError::Permanent { kind: FailureKind::Image, .. }), "{text}");
        }
        for (status, text) in [
            (500, "toomanyrequests: You have reached your unauthenticated pull rate limit"),
            (429, "unauthorized for now"),
            (500, "Get \"https://reg.example/v2/\": dial tcp: lookup reg.example: no such host"),
            (0, "unexpected EOF"),
        ] {
            assert!(matches!(failure(status, text), RuntimeError::Retry { .. }), "{text}");
        }
    }
}
