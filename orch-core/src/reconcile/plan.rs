//! [`Plan`]: what one look at a service asks for, what it holds back and why, and when to look again.

use crate::cluster::Transaction;
use crate::task::Slot;
use crate::time::Timestamp;

/// What one look at a service asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be committed together or not at all.
    pub transaction: Transaction,
    /// What was not done, and what it waits for: the source of every "why".
    pub held: Vec<Held>,
    /// The deadline that changes the answer if no event comes first.
    pub look_again: Option<Timestamp>,
}

/// One thing that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which replica it is about; `None`: the whole service.
    pub slot: Option<Slot>,
    /// What it waits for.
    pub reason: HeldReason,
}

/// What is waited for. `Display` is a sentence for people.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldReason {
    /// No node fits; the words count the nodes by reason.
    #[error("no node fits: {0}")]
    NoNodeFits(String),
    /// The replacement is not healthy yet.
    #[error("waiting for its replacement to be healthy ({0})")]
    ReplacementNotHealthy(String),
    /// The disruption budget is spent.
    #[error("waiting for other replicas: {0}")]
    Budget(String),
    /// The slot failed lately.
    #[error("waiting until {until} after {failures} failures")]
    BackOff {
        /// Until when.
        until: Timestamp,
        /// How many in a row.
        failures: u32,
    },
    /// The node said goodbye and may come back.
    #[error("its node is away until {until} at most")]
    NodeAway {
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// A stateful task's node is lost: a person must say that it is dead.
    #[error("its node is lost; a stateful replica is not replaced unless the node is removed")]
    StatefulNodeLost,
    /// The rollout is paused.
    #[error("the rollout is paused")]
    Paused,
    /// A container is still being stopped.
    #[error("waiting for the old task to stop")]
    Stopping,
}
