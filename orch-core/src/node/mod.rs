//! Nodes: machines with an agent.

pub mod condition;
pub mod enrollment;
pub mod facts;
pub mod resources;
pub mod silence;
pub mod status;
pub mod version;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use condition::{EngineTrouble, NodeCondition};
pub use enrollment::{ApprovedKey, EnrollmentMethod, NodeEnrollment};
pub use facts::NodeFacts;
pub use resources::Resources;
pub use silence::{Hearing, MassSilence};
pub use status::{NodeStatus, OfflineCause};

use crate::cluster::Revision;
use crate::id::{BootId, NodeId, ServiceId};
use crate::identity::{CredentialBinding, NodePublicKey};
use crate::name::NodeName;
use crate::time::Timestamp;

/// Which registration of a node this is: from 1, one more each time; what an older one says is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// A node as the cluster knows it. Its credential stands in a row of its own, since that changes with every heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Kept over re-registrations under the same name.
    pub id: NodeId,
    /// Unique in the cluster.
    pub name: NodeName,
    /// Where its published ports are reached, with or without a scheme.
    pub advertise_address: String,
    /// What placement constraints look at.
    pub labels: BTreeMap<String, String>,
    /// What it is by itself; placement constraints look at that, too.
    #[serde(default, skip_serializing_if = "NodeFacts::is_empty")]
    pub facts: NodeFacts,
    /// All that the machine has.
    pub capacity: Resources,
    /// What tasks may use.
    pub allocatable: Resources,
    /// Where it is in its life.
    pub status: NodeStatus,
    /// Gets no new tasks, keeps those it has.
    #[serde(default)]
    pub cordoned: bool,
    /// Its agent does not reach the engine that runs its containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_trouble: Option<EngineTrouble>,
    /// When its drain takes the tasks that are left, replaced or not; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_by: Option<Timestamp>,
    /// What its drain waits for, by service, as it was said last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub drain_waits: BTreeMap<ServiceId, String>,
    /// The registration that counts.
    pub incarnation: Incarnation,
    /// The boot of the agent that registered last.
    #[serde(default)]
    pub boot: Option<BootId>,
    /// The key that later registrations must prove; `None` for agents without one.
    #[serde(default)]
    pub key: Option<NodePublicKey>,
    /// How it came in.
    #[serde(default)]
    pub enrollment: NodeEnrollment,
    /// Labels that its enrolment token gave it, which it cannot change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pinned_labels: BTreeMap<String, String>,
    /// Another key that it may come with, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_key: Option<ApprovedKey>,
    /// What else its credential is bound to.
    #[serde(default)]
    pub binding: CredentialBinding,
    /// Version of its agent.
    pub agent_version: String,
    /// The cluster revision of its last change.
    pub revision: Revision,
    /// When it first registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Node {
    /// Whether the scheduler may place tasks here.
    #[must_use]
    pub fn takes_new_tasks(&self) -> bool {
        matches!(self.status, NodeStatus::Ready) && !self.cordoned && self.engine_trouble.is_none()
    }

    /// Its labels where it says these: what is pinned stays.
    #[must_use]
    pub fn labels_saying(&self, mut said: BTreeMap<String, String>) -> BTreeMap<String, String> {
        said.extend(self.pinned_labels.clone());
        said
    }

    /// What placement rules see under that key: a fact, else a label. The names of facts are never looked up in the labels,
    /// so that no label passes for one.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        match key {
            "node.name" => Some(self.name.as_str()),
            key if NodeFacts::KEYS.contains(&key) => self.facts.get(key),
            key => self.labels.get(key).map(String::as_str),
        }
    }
}
