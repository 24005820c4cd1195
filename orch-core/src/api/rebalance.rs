//! Rebalancing on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::move_tasks::MOVES_AT_ONCE_MAX;
use crate::command::{FieldPath, Rejection};
use crate::rebalance;

/// Asks which tasks would run better elsewhere, or lets them move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RebalanceRequest {
    /// Let the first of them move; else nothing is changed.
    pub apply: bool,
    /// So many are on their way at most, those that are already included: 1 to 100; left out: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_most: Option<u32>,
}

impl RebalanceRequest {
    /// How many may be on their way.
    ///
    /// # Errors
    /// It is none, or too many.
    pub fn parse_at_most(&self) -> Result<u32, Rejection> {
        const MOST: u32 = MOVES_AT_ONCE_MAX as u32;
        match self.at_most.unwrap_or(5) {
            fine @ 1..=MOST => Ok(fine),
            other => {
                let expected = format!("1 to {MOST}");
                Err(Rejection::invalid(FieldPath::new("at_most"), format!("it is {other}"), expected))
            }
        }
    }
}

/// A task that would run better elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Move {
    /// Its id.
    pub task_id: String,
    /// As people call it: `web.3`.
    pub name: String,
    /// The node where it is.
    pub from: String,
    /// The node where it would go, as of now.
    pub to: String,
    /// What is better there.
    pub reason: String,
}

/// A service that is left alone.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub service: String,
    /// Why.
    pub reason: String,
}

/// What would move, and what does.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct RebalanceAnswer {
    /// In the order in which they are let move.
    pub moves: Vec<Move>,
    /// Services that are left alone.
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// How many were on their way already.
    pub under_way: u32,
    /// How many of `moves` this request let move.
    pub begun: u32,
}

impl From<&rebalance::Rebalance> for RebalanceAnswer {
    fn from(plan: &rebalance::Rebalance) -> Self {
        let moves = plan.moves.iter().map(|one| Move {
            task_id: one.task.to_string(),
            name: one.name.clone(),
            from: one.from.to_string(),
            to: one.to.to_string(),
            reason: one.gain.to_string(),
        });
        let skipped = plan.skipped.iter();
        Self {
            moves: moves.collect(),
            skipped: skipped
                .map(|(service, why)| Skipped { service: service.clone(), reason: (*why).to_owned() })
                .collect(),
            under_way: plan.under_way,
            begun: 0,
        }
    }
}
