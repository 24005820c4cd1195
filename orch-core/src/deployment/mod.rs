//! Deployments: one version of a service taking the place of another. The routes call them rollouts.

pub mod policy;
pub mod status;

use serde::{Deserialize, Serialize};

pub use policy::{OnFailure, RolloutPolicy};
pub use status::DeploymentStatus;

use crate::id::{DeploymentId, ServiceId};
use crate::name::Namespace;
use crate::service::Version;
use crate::time::Timestamp;

/// A deployment. It comes to exactly one end, and its deadline always fires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The service's namespace.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceId,
    /// The version before; `None` for a service's first.
    #[serde(default)]
    pub from_version: Option<Version>,
    /// The version after. Lower than `from_version` in a rollback.
    pub to_version: Version,
    /// How far it is.
    pub status: DeploymentStatus,
    /// How it proceeds, as given when it began.
    pub policy: RolloutPolicy,
    /// When it fails, if it has not ended by then. Rests while paused.
    pub deadline: Timestamp,
    /// A sentence for people: why it failed, was cancelled or superseded.
    #[serde(default)]
    pub reason: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When its first task was made.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
}

impl Deployment {
    /// Whether it goes back to an earlier version.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.from_version.is_some_and(|from| self.to_version < from)
    }
}
