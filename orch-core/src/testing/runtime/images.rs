//! Images of a [`FakeRuntime`], and the registries that it can reach.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::FakeRuntime;
use crate::runtime::{ContainerImages, Disk, FoundImage, RuntimeError};
use crate::service::{ImageDigest, ImageOrigin, ImageRef};
use crate::task::FailureKind;

#[derive(Default)]
pub(super) struct Images {
    present: BTreeMap<ImageRef, ImageDigest>,
    /// What registries have, by tag and by digest. What none has is made up by whoever asks for it, unless by digest.
    published: BTreeMap<ImageRef, ImageDigest>,
    /// What other things take of the disk, and its size; `None`: it cannot be seen.
    disk: Option<(u64, u64)>,
    in_use: BTreeSet<ImageDigest>,
}

/// What each image of a [`FakeRuntime`] takes.
pub const FAKE_IMAGE_BYTES: u64 = 1 << 30;

impl Images {
    pub(super) fn present(&self, image: &ImageRef) -> Option<ImageDigest> {
        self.present.get(image).cloned()
    }

    pub(super) fn add(&mut self, image: &ImageRef) -> ImageDigest {
        let known = self.published.get(image).cloned();
        let id = known.unwrap_or_else(|| ImageDigest(format!("sha256:{image}")));
        self.present.entry(image.clone()).or_insert(id).clone()
    }

    pub(super) fn pull(&mut self, image: &ImageRef) -> Result<ImageDigest, RuntimeError> {
        if image.digest().is_some() && !self.published.contains_key(image) {
            let message = format!("image {image}: manifest unknown");
            return Err(RuntimeError::Permanent { kind: FailureKind::Image, message });
        }
        Ok(self.add(image))
    }
}

impl FakeRuntime {
    /// Has a registry that this node reaches call `content` by the tag of `image` from now on, and by its digest for ever; answers
    /// the name with the digest. What the node has under the tag already stays.
    pub fn publish(&self, image: &ImageRef, content: &str) -> ImageRef {
        let hash = ring::digest::digest(&ring::digest::SHA256, content.as_bytes());
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let exact = image.with_digest(&ImageDigest(format!("sha256:{hex}")));
        let id = ImageDigest(format!("image:{content}"));
        let mut state = self.state();
        state.images.published.insert(image.clone(), id.clone());
        state.images.published.insert(exact.clone(), id);
        drop(state);
        exact
    }

    /// Has images be on a disk of that size, of which other things take `other` bytes.
    pub fn set_disk(&self, other: u64, total: u64) {
        self.state().images.disk = Some((other, total));
    }

    /// A container of someone else was made from the image of that name.
    pub fn use_image(&self, name: &ImageRef) {
        let mut state = self.state();
        let id = state.images.present(name);
        state.images.in_use.extend(id);
    }

    /// The names of all images that are on the node.
    #[must_use]
    pub fn image_names(&self) -> Vec<ImageRef> {
        self.state().images.present.keys().cloned().collect()
    }
}

#[async_trait]
impl ContainerImages for FakeRuntime {
    async fn origin(&self, image: &ImageRef, id: &ImageDigest) -> Result<ImageOrigin, RuntimeError> {
        let state = self.state();
        let is_it = |name: &ImageRef, of: &ImageDigest| {
            of == id && name.digest().is_some() && name.repository() == image.repository()
        };
        let found = state.images.published.iter().find(|(name, of)| is_it(name, of));
        Ok(found.map_or(ImageOrigin::Local, |(name, _)| ImageOrigin::Registry(name.clone())))
    }

    async fn is_present(&self, id: &ImageDigest) -> Result<bool, RuntimeError> {
        Ok(self.state().images.present.values().any(|present| present == id))
    }

    async fn find(&self, name: &ImageRef) -> Result<Option<FoundImage>, RuntimeError> {
        let id = self.state().images.present(name);
        Ok(id.map(|id| FoundImage { id, size_bytes: FAKE_IMAGE_BYTES }))
    }

    async fn in_use(&self) -> Result<BTreeSet<ImageDigest>, RuntimeError> {
        Ok(self.state().images.in_use.clone())
    }

    async fn remove_image(&self, name: &ImageRef) -> Result<(), RuntimeError> {
        self.state().images.present.remove(name);
        Ok(())
    }

    async fn disk(&self) -> Result<Option<Disk>, RuntimeError> {
        let state = self.state();
        let taken = state.images.present.len() as u64 * FAKE_IMAGE_BYTES;
        Ok(state.images.disk.map(|(other, total)| Disk {
            total_bytes: total,
            available_bytes: total.saturating_sub(other + taken),
        }))
    }
}
