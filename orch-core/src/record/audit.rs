//! Audit records: who did what, from where, with what outcome. Same transaction as the act.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::AuditId;
use crate::name::Namespace;
use crate::time::Timestamp;

/// One audit record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// Where it happened; `None`: cluster-wide.
    #[serde(default)]
    pub namespace: Option<Namespace>,
    /// What kind of actor.
    pub actor_type: ActorType,
    /// The subject, the node id, or the controller's name.
    pub actor_id: String,
    /// `service.create`, `node.drain`, …
    pub action: String,
    /// `service`, `node`, …
    pub target_type: String,
    /// An id or name.
    pub target_id: String,
    /// The request's id.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The peer's address.
    #[serde(default)]
    pub source_ip: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// More, by name. Never a secret.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

/// Kinds of actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorType {
    /// A person or a program with a user's token.
    User,
    /// A node.
    Agent,
    /// The control plane itself.
    System,
}

/// How an act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Success,
    /// Refused.
    Failure,
}
