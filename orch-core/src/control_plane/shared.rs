//! What the writer and the handles have in common. The queue is not in it: once every handle is gone, the writer ends.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Parts;
use super::clock::ClusterClock;
use super::health::HealthCell;
use super::liveness::Liveness;
use super::publish::Published;
use super::streams::Streams;
use super::users::TokenUses;
use crate::time::Timestamp;

pub(super) struct Shared {
    pub(super) parts: Parts,
    pub(super) clock: ClusterClock,
    pub(super) liveness: Liveness,
    pub(super) published: Published,
    pub(super) health: HealthCell,
    pub(super) streams: Streams,
    pub(super) token_uses: TokenUses,
    /// Cancelled: no new work, and whoever waits is answered.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Shared {
    /// Until when nobody's absence says anything, by cluster time.
    pub(super) fn hears_from(&self) -> Timestamp {
        self.clock.at(self.liveness.hears_from())
    }
}
