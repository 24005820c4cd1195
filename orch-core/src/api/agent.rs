//! What agents and control planes say to each other over HTTP. The newer routes carry the types of
//! [`crate::agent`] in their own serialised form; the older ones keep the contract's.

mod legacy;
mod secrets;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use legacy::{AgentTask, AgentTasksAnswer, AgentTasksQuery, StatusReport};
pub use secrets::{SecretText, SecretValue, SecretsAnswer, Token};

use super::node::Node;
use super::{Resources, Time, is_false, parse_at};
use crate::agent::{self, DesiredVersion, Directive, HeartbeatAnswer, Registered, ReportAnswer, TaskVerdict};
use crate::cluster::Revision;
use crate::command::{FieldPath, Rejection};
use crate::id::{BootId, ClusterId, NodeId};
use crate::identity::{KeyProof, RegistrationClaim};
use crate::node::{Incarnation, NodeFacts};
use crate::task::TaskReport;
use crate::time::Timestamp;

/// The header with a request's sequence number: grows with every request of one registration.
pub const SEQUENCE_HEADER: &str = "x-orch-sequence";
/// The header with the registration token; `Authorization` serves as well.
pub const BOOTSTRAP_HEADER: &str = "x-orch-bootstrap-token";
/// The longest that a poll for the desired set waits.
pub const MAX_POLL: Duration = Duration::from_secs(55);

/// Asks for a challenge to sign with the node key.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// The node's name.
    pub node_name: String,
}

/// Registers a node.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RegisterRequest {
    /// The node's name.
    pub node_name: String,
    /// Where its published ports are reached.
    pub advertise_address: String,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// What it is by itself.
    #[serde(skip_serializing_if = "NodeFacts::is_empty")]
    pub facts: NodeFacts,
    /// What the machine has.
    pub capacity: Resources,
    /// What tasks may use.
    pub allocatable: Resources,
    /// Ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_socket_path: Option<String>,
    /// Version of the agent; empty: the server's own.
    pub agent_version: String,
    /// Which boot of the agent this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootId>,
    /// Proof of the node key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyProof>,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl RegisterRequest {
    /// The request of an agent on its way out.
    #[must_use]
    pub fn of(claim: &RegistrationClaim, key: Option<KeyProof>) -> Self {
        Self {
            node_name: claim.name.to_string(),
            advertise_address: claim.advertise_address.clone(),
            labels: claim.labels.clone(),
            facts: claim.facts.clone(),
            capacity: claim.capacity.into(),
            allocatable: claim.allocatable.into(),
            docker_socket_path: None,
            agent_version: claim.agent_version.clone(),
            boot: claim.boot,
            key,
        }
    }

    /// What the node says of itself: to the letter what it signed, if it did.
    ///
    /// # Errors
    /// The name is none, or the address is blank.
    pub fn parse(&self) -> Result<RegistrationClaim, Rejection> {
        let address = &self.advertise_address;
        if address.trim().is_empty() || address.chars().any(char::is_control) {
            let field = FieldPath::new("advertise_address");
            return Err(Rejection::invalid(field, "it is blank", "where published ports are reached"));
        }
        Ok(RegistrationClaim {
            name: parse_at(&self.node_name, &FieldPath::new("node_name"), "a node's name")?,
            advertise_address: address.clone(),
            labels: self.labels.clone(),
            facts: self.facts.clone(),
            capacity: self.capacity.into(),
            allocatable: self.allocatable.into(),
            agent_version: self.agent_version.clone(),
            boot: self.boot,
        })
    }
}

/// Whether the engine that runs a node's containers can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineState {
    /// It can.
    pub reachable: bool,
    /// If not, for how many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<u64>,
    /// And why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&agent::EngineReport> for EngineState {
    fn from(report: &agent::EngineReport) -> Self {
        match report {
            agent::EngineReport::Reachable => Self { reachable: true, ..Self::default() },
            agent::EngineReport::Unreachable { ago, reason } => {
                Self { reachable: false, for_seconds: Some(ago.as_secs()), reason: Some(reason.clone()) }
            }
        }
    }
}

impl From<&EngineState> for agent::EngineReport {
    fn from(state: &EngineState) -> Self {
        if state.reachable {
            return Self::Reachable;
        }
        Self::Unreachable {
            ago: std::time::Duration::from_secs(state.for_seconds.unwrap_or_default()),
            reason: state.reason.clone().unwrap_or_default(),
        }
    }
}

/// A node is alive.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatRequest {
    /// Which node; checked against the credential.
    pub node_id: String,
    /// What the machine has; zero keeps the old.
    pub capacity: Resources,
    /// What tasks may use; zero keeps the old.
    pub allocatable: Resources,
    /// Null keeps the old.
    pub labels: Option<BTreeMap<String, String>>,
    /// Left out keeps the old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<NodeFacts>,
    /// Whether the containers' engine can be reached; left out keeps the old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineState>,
    /// The agent stops now.
    #[serde(skip_serializing_if = "is_false")]
    pub shutdown: bool,
    /// Version of the agent; empty keeps the old.
    pub agent_version: String,
}

impl HeartbeatRequest {
    /// The request of an agent on its way out.
    #[must_use]
    pub fn of(node: NodeId, heartbeat: &agent::Heartbeat) -> Self {
        Self {
            node_id: node.to_string(),
            capacity: heartbeat.capacity.map(Into::into).unwrap_or_default(),
            allocatable: heartbeat.allocatable.map(Into::into).unwrap_or_default(),
            labels: heartbeat.labels.clone(),
            facts: heartbeat.facts.clone(),
            engine: heartbeat.engine.as_ref().map(Into::into),
            shutdown: heartbeat.shutdown,
            agent_version: heartbeat.agent_version.clone().unwrap_or_default(),
        }
    }

    /// The node, and what it says.
    ///
    /// # Errors
    /// The id is none.
    pub fn parse(&self) -> Result<(NodeId, agent::Heartbeat), Rejection> {
        let given = |resources: Resources| (resources != Resources::default()).then(|| resources.into());
        let heartbeat = agent::Heartbeat {
            capacity: given(self.capacity),
            allocatable: given(self.allocatable),
            labels: self.labels.clone(),
            facts: self.facts.clone(),
            engine: self.engine.as_ref().map(Into::into),
            shutdown: self.shutdown,
            agent_version: Some(self.agent_version.clone()).filter(|version| !version.is_empty()),
        };
        Ok((super::parse_id(&self.node_id, "node_id")?, heartbeat))
    }
}

/// A credential on its way to its node.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct Credential {
    /// Opaque. What the node shows from now on.
    pub token: Token,
    /// By the server's clock.
    pub expires_at: Time,
    /// The same as a duration from now, for agents whose clock is off.
    #[serde(default)]
    pub ttl_seconds: u64,
}

impl Credential {
    fn new(token: &crate::secret::Secret<String>, ttl: Duration, now: Timestamp) -> Self {
        Self { token: token.clone().into(), expires_at: (now + ttl).into(), ttl_seconds: ttl.as_secs() }
    }
}

/// Something that an agent is told.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WireDirective {
    /// `drain`, `offline`, `version_warning`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl From<&Directive> for WireDirective {
    fn from(directive: &Directive) -> Self {
        let (kind, message) = directive.wire();
        Self { kind: kind.to_owned(), message: message.map(str::to_owned) }
    }
}

impl WireDirective {
    /// The directive; `None` for one that this version does not know, which it may ignore.
    #[must_use]
    pub fn parse(&self) -> Option<Directive> {
        match self.kind.as_str() {
            "drain" => Some(Directive::Drain),
            "offline" => Some(Directive::Offline),
            "version_warning" => Some(Directive::VersionWarning(self.message.clone().unwrap_or_default())),
            _ => None,
        }
    }
}

/// What a registration or heartbeat is answered with.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct AgentResponse {
    /// The node.
    pub node: Node,
    /// Its status.
    pub status: String,
    /// What the node shows from now on; left out while the store cannot be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// What else the agent should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directives: Vec<WireDirective>,
    /// Which cluster.
    pub cluster_id: ClusterId,
    /// Which registration counts.
    pub incarnation: u64,
    /// When the next heartbeat is due.
    pub heartbeat_interval_seconds: f64,
    /// The version of what the node should run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredVersion>,
}

/// An answer that an agent cannot work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer has no usable `{0}`")]
pub struct Unusable(pub &'static str);

impl AgentResponse {
    /// The answer to a registration.
    #[must_use]
    pub fn registered(registered: &Registered, node: Node, now: Timestamp) -> Self {
        Self {
            status: node.status.clone(),
            node,
            credential: Some(Credential::new(&registered.credential, registered.ttl, now)),
            directives: registered.directives.iter().map(Into::into).collect(),
            cluster_id: registered.cluster,
            incarnation: registered.incarnation.0,
            heartbeat_interval_seconds: registered.heartbeat_interval.as_secs_f64(),
            desired: None,
        }
    }

    /// The answer to a heartbeat.
    #[must_use]
    pub fn heartbeat(answer: &HeartbeatAnswer, node: Node, now: Timestamp) -> Self {
        Self {
            status: node.status.clone(),
            credential: answer.credential.as_ref().map(|(token, ttl)| Credential::new(token, *ttl, now)),
            directives: answer.directives.iter().map(Into::into).collect(),
            cluster_id: answer.desired.cluster,
            incarnation: node.incarnation,
            heartbeat_interval_seconds: answer.heartbeat_interval.as_secs_f64(),
            desired: Some(answer.desired),
            node,
        }
    }

    /// The registration, as an agent takes it.
    ///
    /// # Errors
    /// Credential, id or interval are missing or none.
    pub fn into_registered(self) -> Result<Registered, Unusable> {
        let credential = self.credential.as_ref().ok_or(Unusable("credential"))?;
        Ok(Registered {
            cluster: self.cluster_id,
            node: self.node.id.parse().map_err(|_| Unusable("node.id"))?,
            incarnation: Incarnation(self.incarnation),
            credential: credential.token.secret(),
            ttl: Duration::from_secs(credential.ttl_seconds),
            heartbeat_interval: self.interval()?,
            directives: self.directives.iter().filter_map(WireDirective::parse).collect(),
        })
    }

    /// The heartbeat's answer, as an agent takes it.
    ///
    /// # Errors
    /// The interval is none.
    pub fn into_heartbeat(self) -> Result<HeartbeatAnswer, Unusable> {
        Ok(HeartbeatAnswer {
            heartbeat_interval: self.interval()?,
            credential: self
                .credential
                .as_ref()
                .map(|credential| (credential.token.secret(), Duration::from_secs(credential.ttl_seconds))),
            desired: self.desired.ok_or(Unusable("desired"))?,
            directives: self.directives.iter().filter_map(WireDirective::parse).collect(),
        })
    }

    fn interval(&self) -> Result<Duration, Unusable> {
        let wrong = Unusable("heartbeat_interval_seconds");
        Duration::try_from_secs_f64(self.heartbeat_interval_seconds).map_err(|_| wrong)
    }
}

/// Polls for the desired set. `cluster` and `revision` name what the agent has; left out: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredQuery {
    /// Which node; checked against the credential.
    pub node_id: String,
    /// Of what the agent has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Of what the agent has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Whole seconds to wait for a change, at most 55; left out: answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<u64>,
}

impl DesiredQuery {
    /// The query of an agent on its way out.
    #[must_use]
    pub fn of(node: NodeId, have: Option<DesiredVersion>, wait: Duration) -> Self {
        Self {
            node_id: node.to_string(),
            cluster: have.map(|version| version.cluster.to_string()),
            revision: have.map(|version| version.revision.0),
            wait: Some(wait.as_secs()),
        }
    }

    /// The node, what it has, and how long it waits.
    ///
    /// # Errors
    /// An id is none.
    pub fn parse(&self) -> Result<(NodeId, Option<DesiredVersion>, Duration), Rejection> {
        let cluster = self.cluster.as_deref().map(|text| super::parse_id(text, "cluster")).transpose()?;
        let have = cluster
            .zip(self.revision)
            .map(|(cluster, revision)| DesiredVersion { cluster, revision: Revision(revision) });
        let wait = Duration::from_secs(self.wait.unwrap_or(0)).min(MAX_POLL);
        Ok((super::parse_id(&self.node_id, "node_id")?, have, wait))
    }
}

/// Says where tasks are, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReportsRequest {
    /// Which node; checked against the credential.
    pub node_id: NodeId,
    /// The reports.
    pub reports: Vec<TaskReport>,
}

/// What became of a batch of reports.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ReportsAnswer {
    /// One a report, in order.
    pub verdicts: Vec<Verdict>,
    /// The revision after the batch.
    pub revision: u64,
}

/// What became of one report.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Verdict {
    /// It is known now.
    pub accepted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&ReportAnswer> for ReportsAnswer {
    fn from(answer: &ReportAnswer) -> Self {
        let verdict = |verdict: &TaskVerdict| match verdict {
            TaskVerdict::Accepted => Verdict { accepted: true, reason: None },
            TaskVerdict::Refused(reason) => Verdict { accepted: false, reason: Some(reason.clone()) },
        };
        Self { verdicts: answer.verdicts.iter().map(verdict).collect(), revision: answer.revision.0 }
    }
}

impl From<ReportsAnswer> for ReportAnswer {
    fn from(answer: ReportsAnswer) -> Self {
        let verdict = |verdict: Verdict| {
            if verdict.accepted {
                TaskVerdict::Accepted
            } else {
                TaskVerdict::Refused(verdict.reason.unwrap_or_default())
            }
        };
        Self {
            verdicts: answer.verdicts.into_iter().map(verdict).collect(),
            revision: Revision(answer.revision),
        }
    }
}

/// Which node asks; checked against the credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeQuery {
    /// Its id.
    pub node_id: String,
}

impl NodeQuery {
    /// The id.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(&self) -> Result<NodeId, Rejection> {
        super::parse_id(&self.node_id, "node_id")
    }
}
