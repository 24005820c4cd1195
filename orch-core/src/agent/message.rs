//! What goes back and forth between an agent and a control plane.

use std::time::Duration;

use super::DesiredVersion;
use crate::cluster::Revision;
use crate::id::{ClusterId, NodeId};
use crate::identity::{KeyProof, RegistrationClaim};
use crate::node::{Incarnation, NodeFacts, Resources};
use crate::secret::Secret;

/// What an agent shows with every call once it is registered.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The node it speaks for; checked against the credential.
    pub node: NodeId,
    /// The credential.
    pub credential: Secret<String>,
    /// Grows with every request of one registration; `None` from agents that send none.
    pub sequence: Option<u64>,
}

/// Asks to be registered.
#[derive(Clone, Debug)]
pub struct RegisterRequest {
    /// What the node says of itself.
    pub claim: RegistrationClaim,
    /// A registration token, if there is one.
    pub token: Option<Secret<String>>,
    /// Proof of the node key, if there is one.
    pub key: Option<KeyProof>,
}

/// A registration.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Which cluster.
    pub cluster: ClusterId,
    /// The node's id.
    pub node: NodeId,
    /// Which registration this is.
    pub incarnation: Incarnation,
    /// The first credential.
    pub credential: Secret<String>,
    /// How long it lives, by the server's clock.
    pub ttl: Duration,
    /// When the next heartbeat is due.
    pub heartbeat_interval: Duration,
    /// What else the agent should know.
    pub directives: Vec<Directive>,
}

/// Whether a node's agent reaches the engine that runs its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineReport {
    /// It does.
    Reachable,
    /// It does not: what runs there is not known, and nothing can be started.
    Unreachable {
        /// For how long.
        ago: Duration,
        /// What it was answered, in words.
        reason: String,
    },
}

/// A node is alive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// What the machine has, if it changed.
    pub capacity: Option<Resources>,
    /// What tasks may use, if it changed.
    pub allocatable: Option<Resources>,
    /// Labels, if they changed.
    pub labels: Option<std::collections::BTreeMap<String, String>>,
    /// Facts, if they changed: the engine may be another one.
    pub facts: Option<NodeFacts>,
    /// Whether the containers' engine can be reached, if that changed.
    pub engine: Option<EngineReport>,
    /// The agent stops now.
    pub shutdown: bool,
    /// Version of the agent, if it changed.
    pub agent_version: Option<String>,
}

/// What a heartbeat is answered with.
#[derive(Clone, Debug)]
pub struct HeartbeatAnswer {
    /// The next credential and its life; `None` while the store cannot be written: the old one stays good.
    pub credential: Option<(Secret<String>, Duration)>,
    /// When the next heartbeat is due.
    pub heartbeat_interval: Duration,
    /// The version of what the node should run: differs from what the agent has if a poll got lost.
    pub desired: DesiredVersion,
    /// What else the agent should know.
    pub directives: Vec<Directive>,
}

/// Something that an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// The node is being emptied.
    Drain,
    /// The node counts as offline.
    Offline,
    /// The agent's version is outside what was tested.
    VersionWarning(String),
}

impl Directive {
    /// Type and message on the wire.
    #[must_use]
    pub fn wire(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Drain => ("drain", None),
            Self::Offline => ("offline", None),
            Self::VersionWarning(message) => ("version_warning", Some(message)),
        }
    }
}

/// What became of a batch of reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportAnswer {
    /// One a report, in order.
    pub verdicts: Vec<TaskVerdict>,
    /// The revision after the batch.
    pub revision: Revision,
}

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskVerdict {
    /// It is known now, or was already.
    Accepted,
    /// It was not taken; the words say why. Not to be sent again.
    Refused(String),
}
