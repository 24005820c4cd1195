//! What the engine knows of an image: its id, and the names that registries gave it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use hyper::Method;
use orch_core::runtime::{ContainerImages, Disk, FoundImage, RuntimeError};
use orch_core::service::{ImageDigest, ImageOrigin, ImageRef};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::DockerRuntime;
use super::super::client::DEADLINE;
use super::super::engine::Payload;
use super::super::error::EngineError;

/// An image as the engine inspects it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: ImageDigest,
    /// `repository@digest`, one for each registry that it was pulled from or pushed to.
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    size: u64,
}

impl DockerRuntime {
    /// Looks at an image by name or id; `None` if it is not on the node.
    pub(super) async fn inspect_image(&self, name: &str) -> Result<Option<Inspected>, EngineError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/images/{name}/json"));
            match client.engine.json::<Inspected>(Method::GET, &path, Payload::Empty).await {
                Ok(image) => Ok(Some(image)),
                Err(error) if error.status() == Some(404) => Ok(None),
                Err(error) => Err(error),
            }
        };
        client.run("image_inspect", DEADLINE, call).await
    }
}

#[async_trait]
impl ContainerImages for DockerRuntime {
    async fn origin(&self, image: &ImageRef, id: &ImageDigest) -> Result<ImageOrigin, RuntimeError> {
        let found = self.inspect_image(&id.0).await?;
        let names = found.and_then(|found| found.repo_digests).unwrap_or_default();
        Ok(origin(image, &names))
    }

    async fn is_present(&self, id: &ImageDigest) -> Result<bool, RuntimeError> {
        // An id that another kind of runtime gave is none of an engine's, and nothing that may stand in a path.
        let hex =
            id.0.strip_prefix("sha256:").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        Ok(hex && self.inspect_image(&id.0).await?.is_some())
    }

    async fn find(&self, name: &ImageRef) -> Result<Option<FoundImage>, RuntimeError> {
        let found = self.inspect_image(&name.engine_reference()).await?;
        Ok(found.map(|found| FoundImage { id: found.id, size_bytes: found.size }))
    }

    async fn in_use(&self) -> Result<BTreeSet<ImageDigest>, RuntimeError> {
        #[derive(Deserialize)]
        struct Container {
            #[serde(rename = "ImageID")]
            image: ImageDigest,
        }
        let all: Vec<Container> = self.ask("list_images_in_use", "/containers/json?all=1").await?;
        Ok(all.into_iter().map(|container| container.image).collect())
    }

    async fn remove_image(&self, name: &ImageRef) -> Result<(), RuntimeError> {
        self.remove_image(name).await
    }

    async fn disk(&self) -> Result<Option<Disk>, RuntimeError> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(rename = "DockerRootDir")]
            root: Option<PathBuf>,
        }
        let info: Info = self.ask("info", "/info").await?;
        // An engine may be on a file system that this process does not see, and then says nothing of its own.
        let Some(root) = info.root.filter(|root| root.is_dir()) else { return Ok(None) };
        let stat = tokio::task::spawn_blocking(move || nix::sys::statvfs::statvfs(&root)).await;
        Ok(stat.ok().and_then(Result::ok).map(|stat| Disk {
            total_bytes: stat.blocks().saturating_mul(stat.fragment_size()),
            available_bytes: stat.blocks_available().saturating_mul(stat.fragment_size()),
        }))
    }
}

impl DockerRuntime {
    /// Asks the engine for something in JSON.
    async fn ask<T: DeserializeOwned>(&self, operation: &'static str, path: &str) -> Result<T, EngineError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(path);
            client.engine.json::<T>(Method::GET, &path, Payload::Empty).await
        };
        client.run(operation, DEADLINE, call).await
    }
}

/// The first of an image's names with a digest that is of the repository asked for; the digest asked for before all others.
fn origin(image: &ImageRef, names: &[String]) -> ImageOrigin {
    let mut ours: Vec<ImageRef> = names.iter().filter_map(|name| name.parse().ok()).collect();
    ours.retain(|name| name.repository() == image.repository() && name.digest().is_some());
    ours.sort_by_key(|name| (name.digest() != image.digest(), name.to_string()));
    ours.into_iter().next().map_or(ImageOrigin::Local, ImageOrigin::Registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_of_the_repository_asked_for_says_where_an_image_is_from() {
        let name = |repository: &str, of: char| format!("{repository}@sha256:{}", of.to_string().repeat(64));
        let names =
            [name("reg.example/other", 'a'), name("web", 'c'), name("web", 'b'), "<none>@<none>".to_owned()];
        let from = |image: &str| origin(&image.parse().unwrap(), &names);
        let registry = |name: String| ImageOrigin::Registry(name.parse().unwrap());
        assert_eq!(from("web:1"), registry(name("web", 'b')));
        assert_eq!(from("docker.io/library/web"), registry(name("web", 'b')));
        assert_eq!(from(&name("web", 'c')), registry(name("web", 'c')));
        assert_eq!(from("reg.example/other:9"), registry(name("reg.example/other", 'a')));
        assert_eq!(from("reg.example/web:1"), ImageOrigin::Local);
    }
}
