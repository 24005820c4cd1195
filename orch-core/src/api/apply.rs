//! Apply on the wire: what changed, or would.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::deployment::Deployment;
use super::is_false;
use super::service::Service;
use crate::command::Applied;

/// Apply or only say what it would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ApplyQuery {
    /// Writes nothing.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "crate::api::boolean")]
    pub dry_run: bool,
}

/// What an apply did, or would do.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ApplyAnswer {
    /// The service as it is now, or would be.
    pub service: Service,
    /// The deployment that was begun, if the template changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// Whether the service is new.
    pub created: bool,
    /// Which fields of the spec differ, one line each.
    pub changes: Vec<String>,
    /// Nothing was written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

impl ApplyAnswer {
    /// The answer to an apply.
    #[must_use]
    pub fn of(applied: &Applied, dry_run: bool) -> Self {
        Self {
            service: applied.service.as_ref().into(),
            deployment: applied.deployment.as_deref().map(Into::into),
            created: applied.created,
            changes: applied.changes.clone(),
            dry_run,
        }
    }
}
