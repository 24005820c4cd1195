//! Cluster time: it never goes back, and a step of the wall clock is an event, never a mass expiry.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::cluster::Change;
use crate::env::SharedEnv;
use crate::time::{Monotonic, Timestamp};

/// How far the wall clock may stray from the monotonic one before that is said.
pub(super) const STEP: Duration = Duration::from_secs(30);

/// Advances by the monotonic clock from where the wall clock, or the newest row of the store, stood at the start.
pub(super) struct ClusterClock {
    env: SharedEnv,
    origin: Monotonic,
    /// Cluster time at `origin`; only ever raised.
    base: AtomicI64,
    /// What the wall clock said at `origin`.
    wall: Timestamp,
    /// The stray that was last said.
    noted: AtomicI64,
}

impl ClusterClock {
    /// `newest`: the newest time in the store, which is never undercut.
    pub(super) fn start(env: SharedEnv, newest: Timestamp) -> Self {
        let (origin, wall) = (env.monotonic(), env.now());
        let base = AtomicI64::new(wall.max(newest).as_micros());
        Self { env, origin, base, wall, noted: AtomicI64::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.base() + self.env.monotonic().since(self.origin)
    }

    /// Cluster time at a point of the monotonic clock.
    pub(super) fn at(&self, at: Monotonic) -> Timestamp {
        self.base() + at.since(self.origin)
    }

    /// When the monotonic clock will have reached a point of cluster time.
    pub(super) fn monotonic_at(&self, at: Timestamp) -> Monotonic {
        self.origin + at.since(self.base())
    }

    /// Another writer's rows may be ahead of this clock: it follows them.
    pub(super) fn not_before(&self, newest: Timestamp) {
        let ahead = newest.as_micros().saturating_sub(self.now().as_micros());
        if ahead > 0 {
            self.base.fetch_add(ahead, Ordering::Relaxed);
        }
    }

    /// By how many microseconds the wall clock stepped since this was last asked, if by more than [`STEP`].
    pub(super) fn step(&self) -> Option<i64> {
        let expected = self.wall + self.env.monotonic().since(self.origin);
        let stray = self.env.now().as_micros().saturating_sub(expected.as_micros());
        let step = stray.saturating_sub(self.noted.load(Ordering::Relaxed));
        if step.unsigned_abs() <= u64::try_from(STEP.as_micros()).unwrap_or(u64::MAX) {
            return None;
        }
        self.noted.store(stray, Ordering::Relaxed);
        Some(step)
    }

    fn base(&self) -> Timestamp {
        Timestamp::from_micros(self.base.load(Ordering::Relaxed))
    }
}

/// The newest point of time that rows speak of as past.
pub(super) fn newest(rows: &[Change]) -> Timestamp {
    rows.iter()
        .map(|row| match row {
            Change::Namespace(row) => row.created_at,
            Change::Node(row) => row.updated_at,
            Change::Credential(row) => row.superseded.map_or(Timestamp::ZERO, |(_, at)| at),
            Change::EnrollmentToken(row) => row.admitted.last().map_or(row.created_at, |last| last.at),
            Change::Service(row) => row.updated_at,
            Change::ServiceRevision(row) => row.created_at,
            Change::Task(row) => row.updated_at,
            Change::Deployment(row) => row.updated_at,
            Change::Receipt(row) => row.at,
            Change::User(row) => row.updated_at,
            Change::ApiToken(row) => row.created_at,
            Change::Remove(_) => Timestamp::ZERO,
        })
        .max()
        .unwrap_or_default()
}
