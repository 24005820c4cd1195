//! Which nodes are heard of: in memory only, judged on the monotonic clock, with fresh grace after start and after a pause.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::ClusterPolicy;
use crate::id::NodeId;
use crate::node::Incarnation;
use crate::time::{Monotonic, Timestamp};

/// The most heartbeats a second that a cluster sends: beyond, the interval is stretched.
pub const MAX_HEARTBEATS_PER_SECOND: u32 = 2_000;

/// How recently a node was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeLiveness {
    /// Within two intervals.
    Alive,
    /// Overdue, and within the timeout still.
    Late,
    /// Not within the timeout, or never since this server started.
    Silent,
}

pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    nodes: BTreeMap<NodeId, Seen>,
    /// Silence counts from here at the earliest.
    grace_from: Monotonic,
    /// How many nodes send heartbeats.
    count: u32,
}

#[derive(Clone, Copy)]
struct Seen {
    incarnation: Incarnation,
    at: Monotonic,
    wall: Timestamp,
    /// The highest sequence number of any request of this registration.
    sequence: u64,
    /// The agent said goodbye.
    left: bool,
}

impl Inner {
    /// From when a node's silence counts.
    fn heard(&self, node: NodeId) -> Monotonic {
        self.nodes.get(&node).map_or(self.grace_from, |seen| seen.at.max(self.grace_from))
    }
}

impl Liveness {
    pub(super) fn new(policy: &ClusterPolicy, now: Monotonic) -> Self {
        let inner = Inner { nodes: BTreeMap::new(), grace_from: now, count: 0 };
        Self {
            interval: policy.heartbeat_interval,
            timeout: policy.heartbeat_timeout,
            inner: Mutex::new(inner),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next heartbeat is due.
    pub(super) fn interval(&self) -> Duration {
        self.interval.max(Duration::from_secs(1) * self.inner().count / MAX_HEARTBEATS_PER_SECOND)
    }

    /// After how much silence a node is offline: stretched as the interval is.
    pub(super) fn timeout(&self) -> Duration {
        let base = self.interval.as_secs_f64();
        if base > 0.0 { self.timeout.mul_f64(self.interval().as_secs_f64() / base) } else { self.timeout }
    }

    pub(super) fn set_count(&self, count: usize) {
        self.inner().count = u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// A heartbeat or a registration came.
    pub(super) fn seen(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        at: Monotonic,
        wall: Timestamp,
        left: bool,
    ) {
        let mut inner = self.inner();
        let before = inner.nodes.get(&node).filter(|seen| seen.incarnation == incarnation);
        let sequence = before.map_or(0, |seen| seen.sequence);
        inner.nodes.insert(node, Seen { incarnation, at, wall, sequence, left });
    }

    /// A request of a node was admitted.
    pub(super) fn note_sequence(&self, node: NodeId, incarnation: Incarnation, sequence: Option<u64>) {
        let Some(sequence) = sequence else { return };
        let mut inner = self.inner();
        let at = inner.grace_from;
        let seen = inner.nodes.entry(node).or_insert(Seen {
            incarnation,
            at,
            wall: Timestamp::ZERO,
            sequence,
            left: false,
        });
        if seen.incarnation == incarnation {
            seen.sequence = seen.sequence.max(sequence);
        }
    }

    /// The highest sequence number that memory knows of a registration.
    pub(super) fn highest_sequence(&self, node: NodeId, incarnation: Incarnation) -> u64 {
        let inner = self.inner();
        inner.nodes.get(&node).filter(|seen| seen.incarnation == incarnation).map_or(0, |seen| seen.sequence)
    }

    /// When a node counts as silent if nothing more is heard of it.
    pub(super) fn silent_at(&self, node: NodeId) -> Monotonic {
        let timeout = self.timeout();
        self.inner().heard(node) + timeout
    }

    /// Until when silence of any node says nothing, for there was nobody to hear it.
    pub(super) fn hears_from(&self) -> Monotonic {
        let timeout = self.timeout();
        self.inner().grace_from + timeout
    }

    /// Those nodes of which two heartbeats in a row are missing.
    pub(super) fn overdue(&self, nodes: impl Iterator<Item = NodeId>, now: Monotonic) -> BTreeSet<NodeId> {
        let patience = (self.interval() * 2).min(self.timeout());
        let inner = self.inner();
        nodes.filter(|node| now.since(inner.heard(*node)) >= patience).collect()
    }

    /// Nodes could not be heard for a while, through no fault of theirs: their silence counts from now.
    pub(super) fn grant_grace(&self, now: Monotonic) {
        self.inner().grace_from = now;
    }

    /// Whether the present registration of a node heartbeats right now, so that another agent must not take its place.
    pub(super) fn is_active(&self, node: NodeId, incarnation: Incarnation, now: Monotonic) -> bool {
        let patience = self.interval() * 2;
        self.inner().nodes.get(&node).is_some_and(|seen| {
            seen.incarnation == incarnation
                && !seen.left
                && seen.wall > Timestamp::ZERO
                && now.since(seen.at) < patience
        })
    }

    /// When a node was last heard of, by cluster time.
    pub(super) fn last_heartbeat(&self, node: NodeId) -> Option<Timestamp> {
        self.inner().nodes.get(&node).map(|seen| seen.wall).filter(|wall| *wall > Timestamp::ZERO)
    }

    pub(super) fn of(&self, node: NodeId, now: Monotonic) -> NodeLiveness {
        let (interval, timeout) = (self.interval(), self.timeout());
        let inner = self.inner();
        match inner.nodes.get(&node).filter(|seen| seen.wall > Timestamp::ZERO) {
            Some(seen) if now.since(seen.at) < interval * 2 => NodeLiveness::Alive,
            Some(seen) if now.since(seen.at.max(inner.grace_from)) < timeout => NodeLiveness::Late,
            _ => NodeLiveness::Silent,
        }
    }

    pub(super) fn forget(&self, node: NodeId) {
        self.inner().nodes.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::IdStream;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_large_cluster_heartbeats_less_often_and_is_waited_for_longer() {
        let liveness = Liveness::new(&ClusterPolicy::default(), at(0));
        assert_eq!(
            (liveness.interval(), liveness.timeout()),
            (Duration::from_secs(5), Duration::from_secs(30))
        );
        liveness.set_count(10_000);
        assert_eq!(liveness.interval(), Duration::from_secs(5), "exactly 2,000 a second");
        liveness.set_count(40_000);
        assert_eq!(
            (liveness.interval(), liveness.timeout()),
            (Duration::from_secs(20), Duration::from_secs(120))
        );
    }

    #[test]
    fn silence_counts_from_the_last_heartbeat_or_from_the_grace() {
        let node = IdStream::seeded(1).next();
        let liveness = Liveness::new(&ClusterPolicy::default(), at(100));
        assert_eq!(liveness.silent_at(node), at(130), "fresh grace after the start");
        liveness.seen(node, Incarnation(1), at(110), Timestamp::from_micros(1), false);
        assert_eq!(liveness.silent_at(node), at(140));
        liveness.grant_grace(at(200));
        assert_eq!(liveness.silent_at(node), at(230));
        assert_eq!(liveness.of(node, at(201)), NodeLiveness::Late);
        assert_eq!(liveness.of(node, at(231)), NodeLiveness::Silent);
        assert_eq!(liveness.hears_from(), at(230));
    }

    #[test]
    fn a_node_is_overdue_after_two_heartbeats_and_none_is_just_after_a_grace() {
        let mut ids = IdStream::seeded(1);
        let (loud, silent) = (ids.next(), ids.next());
        let liveness = Liveness::new(&ClusterPolicy::default(), at(0));
        liveness.seen(loud, Incarnation(1), at(25), Timestamp::from_micros(1), false);
        let overdue = |now| liveness.overdue([loud, silent].into_iter(), at(now));
        assert_eq!(overdue(9), BTreeSet::new());
        assert_eq!(overdue(30), [silent].into());
        assert_eq!(overdue(35), [loud, silent].into());
        liveness.grant_grace(at(36));
        assert_eq!(overdue(40), BTreeSet::new());
    }

    #[test]
    fn sequence_numbers_belong_to_one_registration() {
        let node = IdStream::seeded(1).next();
        let liveness = Liveness::new(&ClusterPolicy::default(), at(0));
        liveness.note_sequence(node, Incarnation(1), Some(7));
        liveness.note_sequence(node, Incarnation(1), Some(3));
        assert_eq!(liveness.highest_sequence(node, Incarnation(1)), 7);
        assert_eq!(liveness.last_heartbeat(node), None, "a request is no heartbeat");
        liveness.seen(node, Incarnation(2), at(1), Timestamp::from_micros(1), false);
        assert_eq!(liveness.highest_sequence(node, Incarnation(2)), 0);
        liveness.note_sequence(node, Incarnation(1), Some(99));
        assert_eq!(liveness.highest_sequence(node, Incarnation(2)), 0, "an old registration says nothing");
    }
}
