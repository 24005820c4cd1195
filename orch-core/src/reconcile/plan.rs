//! [`Plan`]: what one look at a service asks for, what it holds back and why, and when to look again.

use std::fmt;

use crate::cluster::Transaction;
use crate::deployment::DeploymentStatus;
use crate::name::{NodeName, ServiceName};
use crate::service::Version;
use crate::task::{Slot, StopCause};
use crate::time::Timestamp;

/// What one look at a service asks for. `Display` prints one line per step and per thing held: what tests compare, logs
/// show and `orch why` answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The service, where there is one.
    pub service: Option<ServiceName>,
    /// What the transaction does, in words.
    pub steps: Vec<Step>,
    /// To be committed together or not at all.
    pub transaction: Transaction,
    /// What was not done, and what it waits for: the source of every "why".
    pub held: Vec<Held>,
    /// The deadline that changes the answer if no event comes first.
    pub look_again: Option<Timestamp>,
}

/// One thing that a plan does.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A task is made, or one that was pending gets its node.
    Start {
        /// In which slot.
        slot: Slot,
        /// Where.
        node: Option<NodeName>,
    },
    /// A task is made, and waits for a node that fits.
    Wait {
        /// In which slot.
        slot: Slot,
        /// Why no node fits.
        reason: String,
    },
    /// A task is stopped, or taken back before it had a node.
    Stop {
        /// In which slot.
        slot: Slot,
        /// Where; `None`: nowhere yet, or on a node that is no more.
        node: Option<NodeName>,
        /// Why.
        cause: StopCause,
    },
    /// A task's node is asked to have an image, before the task makes room.
    Prepare {
        /// Of which slot.
        slot: Slot,
        /// Which node.
        node: Option<NodeName>,
        /// The version whose image it is.
        version: Version,
    },
    /// A task takes the place of a lower slot.
    Move {
        /// From here.
        from: Slot,
        /// To here.
        to: Slot,
    },
    /// An ended task is forgotten.
    Forget {
        /// In which slot.
        slot: Slot,
    },
    /// A deployment moves on.
    Deployment {
        /// The version that it leads to.
        to_version: Version,
        /// Where it is now.
        status: DeploymentStatus,
        /// Why.
        reason: Option<String>,
    },
    /// The service is gone.
    Deleted,
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
    /// The node fell silent with too many others.
    #[error(
        "its node fell silent with too many others at once; it is not replaced until enough of them are heard again, or the node is given up"
    )]
    ManySilent,
    /// The node fell silent with too many others, most of which are heard again.
    #[error("its node fell silent with others that are heard again; it is not replaced before {until}")]
    ManySilentUntil {
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// The control plane was not there to hear the node.
    #[error("the control plane listens for its node, and does not replace it before {until}")]
    NotHeardYet {
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// The service says to wait.
    #[error("its node is silent; as its spec says, it is not replaced before {until}")]
    NodeSilent {
        /// Until when it is waited for.
        until: Timestamp,
    },
    /// The agent stops the task by itself.
    #[error("its node is silent, and its agent stops it by itself; it is not replaced before {until}")]
    StopsByItself {
        /// By when that must have happened.
        until: Timestamp,
    },
    /// The service says that nothing takes its place.
    #[error("its node is silent; as its spec says, it is kept")]
    Kept,
    /// A stateful task's node is lost: a person must say that it is dead.
    #[error("its node is lost; a stateful replica is not replaced unless the node is removed")]
    StatefulNodeLost,
    /// The rollout is paused.
    #[error("the rollout is paused")]
    Paused,
    /// The image of what is to take its place is not on its node.
    #[error("waiting for image {0}")]
    ImageNotThere(String),
    /// A container is still being stopped.
    #[error("waiting for the old task to stop")]
    Stopping,
}

impl Plan {
    /// The earlier of what was asked for already and `at`.
    pub fn look_again_by(&mut self, at: Timestamp) {
        self.look_again = Some(self.look_again.map_or(at, |known| known.min(at)));
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.service.as_ref().map_or("?", ServiceName::as_str);
        for step in &self.steps {
            match step {
                Step::Start { slot, node } => writeln!(f, "+ {name}/{slot}{}", On(node.as_ref()))?,
                Step::Wait { slot, reason } => writeln!(f, "+ {name}/{slot} pending: {reason}")?,
                Step::Stop { slot, node, .. } => writeln!(f, "- {name}/{slot}{}", On(node.as_ref()))?,
                Step::Prepare { slot, node, version } => {
                    writeln!(f, "~ {name}/{slot}{}: fetch version {version}", On(node.as_ref()))?;
                }
                Step::Move { from, to } => writeln!(f, "= {name}/{from} becomes {name}/{to}")?,
                Step::Forget { slot } => writeln!(f, "forget {name}/{slot}")?,
                Step::Deployment { to_version, status, reason } => {
                    write!(f, "rollout to version {to_version}: {}", status.as_str())?;
                    match reason {
                        Some(reason) => writeln!(f, ": {reason}")?,
                        None => writeln!(f)?,
                    }
                }
                Step::Deleted => writeln!(f, "{name} is deleted")?,
            }
        }
        for Held { slot, reason } in &self.held {
            match slot {
                Some(slot) => writeln!(f, "held: {name}/{slot}: {reason}")?,
                None => writeln!(f, "held: {reason}")?,
            }
        }
        Ok(())
    }
}

/// ` on a`, or nothing.
struct On<'a>(Option<&'a NodeName>);

impl fmt::Display for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |node| write!(f, " on {node}"))
    }
}
