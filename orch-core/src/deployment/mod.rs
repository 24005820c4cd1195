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
    /// It replaces tasks by others of the same version: every one that was made before it began.
    #[serde(default)]
    pub restart: bool,
    /// How far it is.
    pub status: DeploymentStatus,
    /// How it proceeds, as given when it began.
    pub policy: RolloutPolicy,
    /// When it fails, if it has not ended by then. Rests while paused.
    pub deadline: Timestamp,
    /// A sentence for people: why it failed, was paused, cancelled or superseded.
    #[serde(default)]
    pub reason: Option<String>,
    /// Since when it is paused; `None`: it is not.
    #[serde(default)]
    pub paused_at: Option<Timestamp>,
    /// When it last went on after a pause. What failed before that was seen by the person who let it go on.
    #[serde(default)]
    pub continued_at: Option<Timestamp>,
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
    /// Whether a task made at `created_at` is to be replaced for its age alone.
    #[must_use]
    pub fn is_too_old(&self, created_at: Timestamp) -> bool {
        self.restart && created_at < self.created_at
    }

    /// Whether it goes back to an earlier version.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.from_version.is_some_and(|from| self.to_version < from)
    }

    /// The same, paused from now on: its deadline rests.
    #[must_use]
    pub fn paused(&self, now: Timestamp, reason: String) -> Self {
        Self {
            status: DeploymentStatus::Paused,
            reason: Some(reason),
            paused_at: Some(now),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The same, under way again. It has as long as was left when it was paused; where nothing was left, as long as it had
    /// in the beginning.
    #[must_use]
    pub fn continued(&self, now: Timestamp) -> Self {
        let left = self.deadline.since(self.paused_at.unwrap_or(self.updated_at));
        let left = if left.is_zero() { self.policy.deadline } else { left };
        Self {
            status: if self.is_rollback() {
                DeploymentStatus::RollingBack
            } else {
                DeploymentStatus::Running
            },
            reason: None,
            deadline: now + left,
            paused_at: None,
            continued_at: Some(now),
            updated_at: now,
            ..self.clone()
        }
    }
}
