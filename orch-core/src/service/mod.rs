//! Services: what should run, and the revisions a rollback returns to.

pub mod admission;
pub mod difference;
pub mod disconnect;
pub mod health;
pub mod image;
pub mod mount;
pub mod pin;
pub mod placement;
pub mod port;
pub mod restart;
pub mod revision;
pub mod security;
pub mod settings;
pub mod spec;
pub mod template;
pub mod validation;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use disconnect::OnDisconnect;
pub use health::{HealthCheck, Probe, Scheme};
pub use image::{ImageDigest, ImageRef};
pub use mount::{Mount, MountSource};
pub use pin::{ImageOrder, ImageOrigin, ImagePin, ResolvedImage};
pub use placement::{Constraint, Rule, Strategy};
pub use port::{AssignedPort, PortSpec, Protocol, Publish};
pub use restart::{Backoff, RestartCondition, RestartPolicy};
pub use revision::ServiceRevision;
pub use security::{Capability, HostMount, SecurityContext};
pub use settings::{ContainerSettings, Dns, HostAddress, LogSettings, Ulimit, UlimitName};
pub use spec::{Defaulted, Route, ServiceSpec};
pub use template::{DEFAULT_DRAIN_DELAY, SpecDigest, StopPolicy, TaskTemplate};

use crate::cluster::Revision;
use crate::id::ServiceId;
use crate::name::Namespace;
use crate::time::Timestamp;

/// A version of a service's spec: from 1, one more for each new spec; a rollback goes back to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a service is in its life. Deleted is final, and frees the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// Kept running.
    Active,
    /// Being taken down; its tasks are on their way out.
    Deleting,
    /// Gone; kept for a while so that it can be looked up.
    Deleted,
}

impl ServiceStatus {
    /// The word of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// A service as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id, kept through all versions.
    pub id: ServiceId,
    /// The namespace it belongs to.
    pub namespace: Namespace,
    /// What is wanted now, replica count included.
    pub spec: ServiceSpec,
    /// The version that `spec` is.
    pub version: Version,
    /// The highest version there ever was; the next new spec gets one more.
    pub newest_version: Version,
    /// Where it is in its life.
    pub status: ServiceStatus,
    /// The cluster revision of its last change: what `If-Match` compares.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
