//! What a rollback returns to.

use serde::{Deserialize, Serialize};

use super::{ServiceSpec, Version};
use crate::id::ServiceId;
use crate::time::Timestamp;

/// The spec of one version of a service. Tasks refer to it, so it outlives them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    /// Whose.
    pub service: ServiceId,
    /// Which version.
    pub version: Version,
    /// The spec, with the replica count it was created with.
    pub spec: ServiceSpec,
    /// Digest of the part that tasks are made from: equal digests need no new tasks.
    pub digest: super::SpecDigest,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who made it; `None` of versions from before this was kept.
    #[serde(default)]
    pub by: Option<String>,
    /// Which bytes its image is; `None` until an agent had it. Never changes once set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<super::ImagePin>,
}
