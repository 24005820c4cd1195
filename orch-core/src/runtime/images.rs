//! [`ContainerImages`]: what a runtime knows of the images on its node.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::RuntimeError;
use crate::service::{ImageDigest, ImageOrigin, ImageRef};

/// Knows the images on a node.
#[async_trait]
pub trait ContainerImages: Send + Sync {
    /// Where the image `id` is from, if it was asked for as `image`: which of its names has a digest of that repository.
    async fn origin(&self, image: &ImageRef, id: &ImageDigest) -> Result<ImageOrigin, RuntimeError>;

    /// Whether an image of this id is on the node, whatever it is called.
    async fn is_present(&self, id: &ImageDigest) -> Result<bool, RuntimeError>;

    /// The image that bears a name; `None` if none does.
    async fn find(&self, name: &ImageRef) -> Result<Option<FoundImage>, RuntimeError>;

    /// The images that containers were made from: of all containers on the node, running or not, whoever made them.
    async fn in_use(&self) -> Result<BTreeSet<ImageDigest>, RuntimeError>;

    /// Takes a name off its image, and removes the image if that was its last name. Never by force: an image that a container was
    /// made from stays. One that is gone is fine.
    async fn remove_image(&self, name: &ImageRef) -> Result<(), RuntimeError>;

    /// The file system that images are on; `None` where it cannot be seen.
    async fn disk(&self) -> Result<Option<Disk>, RuntimeError>;
}

/// An image on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// What the engine calls it.
    pub id: ImageDigest,
    /// What it takes, layers that it shares with others included.
    pub size_bytes: u64,
}

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Its size.
    pub total_bytes: u64,
    /// What the engine may still write.
    pub available_bytes: u64,
}
