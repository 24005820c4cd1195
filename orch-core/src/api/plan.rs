//! Plans on the wire: what an apply would do, and in which order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use super::service::{Held, Service};
use crate::reconcile::Step;
use crate::rehearse::{Ending, Moment, Rehearsal};
use crate::service::difference::{self, field_changes};

/// What an apply would do. Nothing was written.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// The service as it would be.
    pub service: Service,
    /// `create`, `change` or `none`.
    pub action: String,
    /// The version that it is at; 0: it would be new.
    pub from_version: u32,
    /// The fields of the spec that differ; none of a new service.
    pub changes: Vec<FieldChange>,
    /// A rollout would begin; else the change needs none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rollout: bool,
    /// How tasks take each other's place: `start_first`, `stop_first` (a fixed port) or `one_owner` (stateful).
    pub handover: String,
    /// How many replicas may be missing meanwhile.
    pub max_unavailable: u32,
    /// How many tasks there may be above the replica count meanwhile.
    pub max_surge: u32,
    /// What would be done, in order, were every task to come up at once and nobody else to change anything.
    pub steps: Vec<PlanStep>,
    /// The time that the steps take at least, in seconds.
    pub at_least_seconds: u64,
    /// Replicas that would have no place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unplaced: Vec<Unplaced>,
    /// What would be waited for in the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// `done`; `waits` for what `held` says; `fails`, its deadline being too short for one; `cut`: only the beginning was tried.
    pub ending: String,
    /// Why it would fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: `template.image`.
    pub field: String,
    /// `added`, `removed` or `changed`.
    pub kind: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct PlanStep {
    /// From 1; steps of one round are done together.
    pub round: u32,
    /// When at the earliest, in seconds from the beginning.
    pub after_seconds: u64,
    /// `start`, `wait`, `stop`, `move`, `rollout` or `delete`.
    pub action: String,
    /// Which replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why, or to which replica it moves, or what becomes of the rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A replica that would have no place.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Unplaced {
    /// Which replica.
    pub slot: u32,
    /// The nodes counted by reason.
    pub reason: String,
    /// Each node with what it lacks; of several replicas only with the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<UnfitNode>,
}

/// A node that cannot take a replica.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct UnfitNode {
    /// Its name.
    pub node: String,
    /// What it lacks.
    pub reason: String,
}

impl From<&Rehearsal> for PlanAnswer {
    fn from(tried: &Rehearsal) -> Self {
        let service = &tried.applied.service;
        let changes = match &tried.before {
            Some(before) => field_changes(&before.spec, &service.spec),
            None => Vec::new(),
        };
        let action = match (tried.applied.created, tried.changed) {
            (true, _) => "create",
            (false, true) => "change",
            (false, false) => "none",
        };
        let (ending, reason) = match &tried.ending {
            Ending::Done => ("done", None),
            Ending::Waits => ("waits", None),
            Ending::Fails(reason) => ("fails", Some(reason.clone())),
            Ending::Cut => ("cut", None),
        };
        let unplaced = tried.unplaced.iter().map(|unplaced| Unplaced {
            slot: unplaced.slot.0,
            reason: unplaced.reason.clone(),
            nodes: unplaced
                .nodes
                .iter()
                .map(|(node, reason)| UnfitNode { node: node.to_string(), reason: reason.clone() })
                .collect(),
        });
        Self {
            service: service.as_ref().into(),
            action: action.to_owned(),
            from_version: tried.before.as_ref().map_or(0, |before| before.version.0),
            changes: changes.into_iter().map(Into::into).collect(),
            rollout: tried.applied.deployment.is_some() && !tried.applied.created,
            handover: tried.handover.as_str().to_owned(),
            max_unavailable: tried.policy.max_unavailable,
            max_surge: tried.policy.max_surge,
            steps: tried.steps.iter().map(Into::into).collect(),
            at_least_seconds: tried.at_least.as_secs(),
            unplaced: unplaced.collect(),
            held: tried.held.iter().map(Into::into).collect(),
            ending: ending.to_owned(),
            reason,
        }
    }
}

impl From<difference::FieldChange> for FieldChange {
    fn from(change: difference::FieldChange) -> Self {
        let kind = match (&change.before, &change.after) {
            (None, _) => "added",
            (Some(_), None) => "removed",
            (Some(_), Some(_)) => "changed",
        };
        Self { field: change.field, kind: kind.to_owned(), before: change.before, after: change.after }
    }
}

impl From<&Moment> for PlanStep {
    fn from(moment: &Moment) -> Self {
        let (action, slot, node, note) = match &moment.step {
            Step::Start { slot, node } => ("start", Some(slot.0), node.as_ref(), None),
            Step::Wait { slot, reason } => ("wait", Some(slot.0), None, Some(reason.clone())),
            Step::Stop { slot, node, cause } => {
                ("stop", Some(slot.0), node.as_ref(), Some(cause.to_string()))
            }
            Step::Prepare { slot, node, version } => {
                ("fetch", Some(slot.0), node.as_ref(), Some(format!("the image of version {version}")))
            }
            Step::Move { from, to } => ("move", Some(from.0), None, Some(to.to_string())),
            Step::Forget { slot } => ("forget", Some(slot.0), None, None),
            Step::Deployment { to_version, status, .. } => {
                ("rollout", None, None, Some(format!("to version {to_version}: {}", status.as_str())))
            }
            Step::Deleted => ("delete", None, None, None),
        };
        Self {
            round: moment.round,
            after_seconds: moment.after.as_secs(),
            action: action.to_owned(),
            slot,
            node: node.map(ToString::to_string),
            note,
        }
    }
}
