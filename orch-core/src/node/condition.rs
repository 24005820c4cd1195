//! [`NodeCondition`]: what is the matter with a node beside its status.

use serde::{Deserialize, Serialize};

use super::{Node, NodeStatus, OfflineCause};
use crate::agent::EngineReport;
use crate::time::Timestamp;

/// The engine that runs a node's containers cannot be reached by its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineTrouble {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of the first report.
    pub reason: String,
}

/// How much of a reason is kept.
const REASON_MAX: usize = 300;

impl EngineTrouble {
    /// What follows from a report: nothing once the engine is reached, what is known already while it is not.
    #[must_use]
    pub fn after(before: Option<&Self>, report: EngineReport, now: Timestamp) -> Option<Self> {
        match (report, before) {
            (EngineReport::Reachable, _) => None,
            (EngineReport::Unreachable { .. }, Some(known)) => Some(known.clone()),
            (EngineReport::Unreachable { ago, reason }, None) => {
                let printable = reason.chars().map(|c| if c.is_control() { ' ' } else { c });
                Some(Self { since: now - ago, reason: printable.take(REASON_MAX).collect() })
            }
        }
    }
}

/// What may be the matter with a node, whatever its status.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeCondition {
    /// It fell silent with too many others at once: its tasks are not replaced for now (M41).
    ReplacementHeld,
    /// Its agent does not reach the engine that runs its containers: what runs there is not known, and it gets nothing new
    /// (M43).
    EngineUnreachable,
}

impl NodeCondition {
    /// Every condition.
    pub const ALL: [Self; 2] = [Self::ReplacementHeld, Self::EngineUnreachable];

    /// The word on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplacementHeld => "replacement_held",
            Self::EngineUnreachable => "engine_unreachable",
        }
    }

    /// Whether a node has it.
    #[must_use]
    pub fn is_of(self, node: &Node) -> bool {
        self.since(node).is_some()
    }

    /// Since when a node has it; `None`: it does not.
    #[must_use]
    pub fn since(self, node: &Node) -> Option<Timestamp> {
        match (self, node.status) {
            (
                Self::ReplacementHeld,
                NodeStatus::Offline {
                    since, cause: OfflineCause::SilentWithMany { replace_at: None }, ..
                },
            ) => Some(since),
            (Self::ReplacementHeld, _) => None,
            (Self::EngineUnreachable, _) => node.engine_trouble.as_ref().map(|trouble| trouble.since),
        }
    }

    /// A sentence about a node that has it.
    #[must_use]
    pub fn describe(self, node: &Node) -> String {
        match self {
            Self::ReplacementHeld => {
                "it fell silent with too many other nodes at once: its tasks are not replaced \
                                      until enough of them are heard again, or it is given up"
                    .to_owned()
            }
            Self::EngineUnreachable => {
                let reason = node.engine_trouble.as_ref().map_or("", |trouble| trouble.reason.as_str());
                format!(
                    "its container engine cannot be reached, so that what runs there is not known and nothing new is placed: {reason}"
                )
            }
        }
    }
}
