//! What a rehearsal showed.

use std::sync::Arc;
use std::time::Duration;

use crate::command::Applied;
use crate::deployment::RolloutPolicy;
use crate::name::NodeName;
use crate::reconcile::{Handover, Held, Step};
use crate::service::Service;
use crate::task::Slot;

/// What a change would do.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Whether anything would be written.
    pub changed: bool,
    /// The service as it is; `None`: it would be new.
    pub before: Option<Arc<Service>>,
    /// What the apply would answer.
    pub applied: Applied,
    /// How its tasks take each other's place.
    pub handover: Handover,
    /// The pace: of the rollout that would begin, or of the spec.
    pub policy: RolloutPolicy,
    /// What would be done, in order.
    pub steps: Vec<Moment>,
    /// The replicas that would have no place.
    pub unplaced: Vec<Unplaced>,
    /// What would be waited for in the end.
    pub held: Vec<Held>,
    /// The time from the first step to the last, were every task to come up at once.
    pub at_least: Duration,
    /// How it would end.
    pub ending: Ending,
}

/// One step, and when it could be done at the earliest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// From 1; steps of one round are done together.
    pub round: u32,
    /// Since the beginning.
    pub after: Duration,
    /// What is done.
    pub step: Step,
}

/// A replica that would have no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unplaced {
    /// Which replica.
    pub slot: Slot,
    /// The nodes counted by reason.
    pub reason: String,
    /// Each node with what it lacks; of several replicas that lack the same only with the first.
    pub nodes: Vec<(NodeName, String)>,
}

/// How a change would end, were every task to come up at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is as the spec says.
    Done,
    /// Something is waited for: it is in `held`.
    Waits,
    /// The rollout would fail, its deadline being too short for one.
    Fails(String),
    /// Only the beginning was tried: there is too much of it.
    Cut,
}
