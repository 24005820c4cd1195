//! The one timer queue: what is due next, one deadline a key.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{NodeId, ServiceId};
use crate::time::Monotonic;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look at a service again.
    Service(ServiceId),
    /// See whether a node fell silent.
    Node(NodeId),
    /// See whether those that fell silent together are heard again.
    Silence,
    /// Look at every service: what no event told.
    Sweep,
    /// Remove rows that are past their time.
    Prune,
    /// Compare the clocks.
    Clock,
}

impl Timer {
    /// Whether what is due has to do with nodes that are not heard.
    pub(super) const fn is_about_silence(&self) -> bool {
        matches!(self, Self::Node(_) | Self::Silence)
    }
}

/// Deadlines by time and by key.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Monotonic, Timer)>,
    by_key: BTreeMap<Timer, Monotonic>,
}

impl Timers {
    /// Sets or moves the deadline of a key.
    pub(super) fn set(&mut self, timer: Timer, at: Monotonic) {
        self.clear(timer);
        self.by_time.insert((at, timer));
        self.by_key.insert(timer, at);
    }

    /// Sets the deadline of a key that has none.
    pub(super) fn set_if_unset(&mut self, timer: Timer, at: Monotonic) {
        if !self.by_key.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    /// Forgets a key.
    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(before) = self.by_key.remove(&timer) {
            self.by_time.remove(&(before, timer));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the earliest of those that are due, with its deadline.
    pub(super) fn pop_due(&mut self, now: Monotonic) -> Option<(Monotonic, Timer)> {
        let (at, timer) = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.clear(timer);
        Some((at, timer))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        timers.set(Timer::Sweep, at(5));
        timers.set(Timer::Prune, at(3));
        timers.set(Timer::Sweep, at(2));
        timers.set_if_unset(Timer::Prune, at(1));
        assert_eq!(timers.next(), Some(at(2)));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(9)), Some((at(2), Timer::Sweep)));
        assert_eq!(timers.pop_due(at(9)), Some((at(3), Timer::Prune)));
        assert_eq!(timers.pop_due(at(9)), None);
    }
}
