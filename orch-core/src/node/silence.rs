//! When too many nodes fall silent at once it is likelier us than them (M41): how many are too many.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::NodeStatus;
use crate::cluster::Cluster;
use crate::id::NodeId;
use crate::time::Timestamp;

/// When the replacement of silent nodes' tasks is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassSilence {
    /// More than so many of a hundred nodes that should be heard: 0 to 100; with 100 nothing is ever held.
    pub more_than_percent: u8,
    /// In a cluster of fewer nodes that should be heard, nothing is held.
    pub least_nodes: u32,
}

impl Default for MassSilence {
    fn default() -> Self {
        Self { more_than_percent: 50, least_nodes: 3 }
    }
}

/// What the control plane hears right now, beyond what the rows of the nodes say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// Nodes of which two heartbeats in a row are missing, whether or not they count as offline already.
    pub overdue: Arc<BTreeSet<NodeId>>,
    /// After how much silence a node is offline. Nodes that fall silent within one such window do so at once.
    pub window: Duration,
}

/// How many of the nodes that should be heard are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// Are not heard, and were a window ago.
    pub silent: u32,
    /// Those, and all that are heard.
    pub of: u32,
}

impl Silence {
    /// Counts them. Nodes that are gone for longer are no news, and count on neither side.
    #[must_use]
    pub fn count(cluster: &Cluster, hearing: &Hearing, now: Timestamp) -> Self {
        let mut count = Self::default();
        for node in cluster.nodes() {
            let silent = match node.status {
                NodeStatus::Ready | NodeStatus::Draining => hearing.overdue.contains(&node.id),
                status if is_news(status, hearing, now) => true,
                _ => continue,
            };
            count.silent += u32::from(silent);
            count.of += 1;
        }
        count
    }
}

/// Whether a node that is offline fell silent so lately, or with so many, that it counts.
pub(crate) fn is_news(status: NodeStatus, hearing: &Hearing, now: Timestamp) -> bool {
    status.is_held(now) || status.fell_silent_within(hearing.window, now)
}

impl MassSilence {
    /// Whether so many are too many for so many machines to have failed.
    #[must_use]
    pub fn is_mass(self, silence: Silence) -> bool {
        let Silence { silent, of } = silence;
        of >= self.least_nodes && u64::from(silent) * 100 > u64::from(of) * u64::from(self.more_than_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// M41: more than half, and of three at least. With `>=` for `>` a cluster of four would be held by two.
    #[test]
    fn more_than_half_of_three_or_more_are_too_many() {
        let is_mass = |silent, of| MassSilence::default().is_mass(Silence { silent, of });
        for (silent, of) in [(2, 3), (3, 3), (3, 4), (3, 5), (51, 100), (u32::MAX, u32::MAX)] {
            assert!(is_mass(silent, of), "{silent} of {of}");
        }
        for (silent, of) in [(0, 0), (1, 1), (2, 2), (1, 3), (2, 4), (2, 5), (50, 100)] {
            assert!(!is_mass(silent, of), "{silent} of {of}");
        }
        let never = MassSilence { more_than_percent: 100, least_nodes: 0 };
        assert!(!never.is_mass(Silence { silent: 9, of: 9 }));
    }
}
