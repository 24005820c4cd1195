//! [`NodeCondition`]: what is the matter with a node beside its status.

use super::{Node, NodeStatus, OfflineCause};
use crate::time::Timestamp;

/// What may be the matter with a node, whatever its status.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeCondition {
    /// It fell silent with too many others at once: its tasks are not replaced for now (M41).
    ReplacementHeld,
}

impl NodeCondition {
    /// Every condition.
    pub const ALL: [Self; 1] = [Self::ReplacementHeld];

    /// The word on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReplacementHeld => "replacement_held",
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
                NodeStatus::Offline { since, cause: OfflineCause::SilentWithMany { replace_at: None }, .. },
            ) => Some(since),
            (Self::ReplacementHeld, _) => None,
        }
    }

    /// A sentence about a node that has it.
    #[must_use]
    pub fn describe(self, _: &Node) -> String {
        match self {
            Self::ReplacementHeld => "it fell silent with too many other nodes at once: its tasks are not replaced \
                                      until enough of them are heard again, or it is given up"
                .to_owned(),
        }
    }
}
