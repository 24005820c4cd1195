//! Having the next version's image on a task's node before the task is stopped for it (M32).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{ImageDigest, ImageOrigin, ResolvedImage, Version};
use crate::time::Timestamp;

/// A task's node was asked to have the image of a version that is to take the task's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// Of which version.
    pub version: Version,
    /// When it was asked.
    pub since: Timestamp,
    /// What it said; `None` until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Prepared>,
}

/// What a node says of an image that it was asked to have.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prepared {
    /// It is there.
    Ready,
    /// It is not there yet, and tried again; the words say why.
    Waiting(String),
    /// It cannot be had; the words say why.
    Failed(String),
}

/// A node's word on the image that it was asked to have.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PrepareReport {
    /// Of which version.
    pub version: Version,
    /// When it was asked: an earlier asking is no matter any more.
    pub since: Timestamp,
    /// What came of it.
    pub answer: Prepared,
    /// What the image is, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageDigest>,
    /// Where that is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ImageOrigin>,
}

impl PrepareReport {
    /// The image, where it is there and its origin is known.
    #[must_use]
    pub fn resolved(&self) -> Option<ResolvedImage> {
        Some(ResolvedImage { id: self.image.clone()?, origin: self.origin.clone()? })
    }
}
