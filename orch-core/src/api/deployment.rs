//! Deployments on the wire; the routes call them rollouts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Time, parse_at, time};
use crate::command::{FieldPath, Rejection};
use crate::deployment;
use crate::record::Remark;
use crate::service::ImageRef;

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: String,
    /// Where it belongs.
    pub namespace: String,
    /// The service.
    pub service_id: String,
    /// The version before; 0 for a service's first.
    pub from_version: u32,
    /// The version after; lower than `from_version` in a rollback.
    pub to_version: u32,
    /// `rolling_update`; `restart` of one that replaces tasks by others of the same version.
    pub strategy: String,
    /// `pending`, `running`, `paused`, `rolling_back`, or an end: `succeeded`, `rolled_back`, `failed`, `superseded`, `cancelled`.
    pub status: String,
    /// How many replicas may be missing because of it.
    pub max_unavailable: u32,
    /// How many tasks there may be above the replica count.
    pub max_surge: u32,
    /// Why it failed, was paused, cancelled or superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it fails, if it has not ended by then; rests while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Since when it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub paused_at: Option<Time>,
    /// When it was asked for.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When its first task was made.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub started_at: Option<Time>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time::unset::deserialize")]
    pub completed_at: Option<Time>,
}

impl From<&deployment::Deployment> for Deployment {
    fn from(deployment: &deployment::Deployment) -> Self {
        Self {
            id: deployment.id.to_string(),
            namespace: deployment.namespace.to_string(),
            service_id: deployment.service.to_string(),
            from_version: deployment.from_version.map_or(0, |version| version.0),
            to_version: deployment.to_version.0,
            strategy: if deployment.restart { "restart" } else { "rolling_update" }.to_owned(),
            status: deployment.status.as_str().to_owned(),
            max_unavailable: deployment.policy.max_unavailable,
            max_surge: deployment.policy.max_surge,
            reason: deployment.reason.clone(),
            deadline: (!deployment.status.is_terminal()).then(|| deployment.deadline.into()),
            paused_at: deployment.paused_at.map(Into::into),
            created_at: deployment.created_at.into(),
            updated_at: deployment.updated_at.into(),
            started_at: deployment.started_at.map(Into::into),
            completed_at: deployment.completed_at.map(Into::into),
        }
    }
}

/// One deployment.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DeploymentAnswer {
    /// The deployment.
    pub deployment: Deployment,
}

/// Rolls out another image. Both limits 0 or left out: those of the spec.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RolloutRequest {
    /// The new image.
    pub image: String,
    /// How many replicas may be missing because of it.
    #[serde(rename = "maxUnavailable")]
    pub max_unavailable: u32,
    /// How many tasks there may be above the replica count.
    #[serde(rename = "maxSurge")]
    pub max_surge: u32,
}

impl RolloutRequest {
    /// The image; and the limits where they are given.
    ///
    /// # Errors
    /// The image is none.
    pub fn parse(&self) -> Result<(ImageRef, Option<(u32, u32)>), Rejection> {
        let image = parse_at(&self.image, &FieldPath::new("image"), "an image reference")?;
        let limits = (self.max_unavailable, self.max_surge);
        Ok((image, (limits != (0, 0)).then_some(limits)))
    }
}

/// Where a rollback goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackQuery {
    /// The version; left out: the newest earlier one that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_version: Option<u32>,
    /// Passes a maintenance window.
    #[serde(skip_serializing_if = "super::is_false", deserialize_with = "super::boolean")]
    pub force: bool,
}

/// Why a person pauses a rollout, lets it go on or breaks it off; kept in the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SteerQuery {
    /// One line of at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl SteerQuery {
    /// The remark; none where it is left out or empty.
    ///
    /// # Errors
    /// It is too long, or no line.
    pub fn parse(&self) -> Result<Option<Remark>, Rejection> {
        let text = self.reason.as_deref().map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| parse_at(text, &FieldPath::new("reason"), "one line of at most 200 characters"))
            .transpose()
    }
}
