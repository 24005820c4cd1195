//! Audit records on the wire.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::event::{parse_limit, parse_since};
use crate::command::{FieldPath, Rejection};
use crate::name::Namespace;
use crate::record::{self, ActorType, Outcome};
use crate::store::AuditFilter;

/// An audit record.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AuditLog {
    /// Its id.
    pub id: String,
    /// Where it happened; empty: cluster-wide.
    #[serde(default)]
    pub namespace: String,
    /// `user`, `agent` or `system`.
    pub actor_type: String,
    /// The subject, the node id, or the controller's name.
    pub actor_id: String,
    /// `service.create`, `node.drain`, …
    pub action: String,
    /// `service`, `node`, …
    pub target_type: String,
    /// An id or name.
    pub target_id: String,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// `success` or `failure`.
    pub outcome: String,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// When.
    pub timestamp: Time,
}

const ACTORS: [(&str, ActorType); 3] =
    [("user", ActorType::User), ("agent", ActorType::Agent), ("system", ActorType::System)];
const OUTCOMES: [(&str, Outcome); 2] = [("success", Outcome::Success), ("failure", Outcome::Failure)];

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> String {
    words.iter().find(|(_, of)| *of == value).map(|(word, _)| (*word).to_owned()).unwrap_or_default()
}

impl From<&record::AuditRecord> for AuditLog {
    fn from(record: &record::AuditRecord) -> Self {
        Self {
            id: record.id.to_string(),
            namespace: record.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
            actor_type: word(&ACTORS, record.actor_type),
            actor_id: record.actor_id.clone(),
            action: record.action.clone(),
            target_type: record.target_type.clone(),
            target_id: record.target_id.clone(),
            request_id: record.request_id.clone(),
            source_ip: record.source_ip.clone(),
            outcome: word(&OUTCOMES, record.outcome),
            metadata: record.metadata.clone(),
            timestamp: record.at.into(),
        }
    }
}

/// Audit records, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AuditAnswer {
    /// The records.
    pub audit_logs: Vec<AuditLog>,
}

/// Which records; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditQuery {
    /// By this kind of actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_type: Option<String>,
    /// By this actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// Of this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// On this kind of target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<String>,
    /// On this target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// With this outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// At or after; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// 1 to 500; 100 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

impl AuditQuery {
    /// The filter.
    ///
    /// # Errors
    /// A word, time or limit that is none.
    pub fn parse(&self, namespace: Namespace) -> Result<AuditFilter, Rejection> {
        Ok(AuditFilter {
            namespace: Some(namespace),
            actor_type: pick(&ACTORS, given(&self.actor_type), "actor_type", "`user`, `agent` or `system`")?,
            actor_id: given(&self.actor_id).map(str::to_owned),
            action: given(&self.action).map(str::to_owned),
            target_type: given(&self.target_type).map(str::to_owned),
            target_id: given(&self.target_id).map(str::to_owned),
            outcome: pick(&OUTCOMES, given(&self.outcome), "outcome", "`success` or `failure`")?,
            since: parse_since(self.since.as_deref())?,
            limit: parse_limit(self.limit.as_deref())?,
        })
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn pick<T: Copy>(
    words: &[(&'static str, T)],
    text: Option<&str>,
    field: &str,
    expected: &str,
) -> Result<Option<T>, Rejection> {
    let find = |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        found.ok_or_else(|| Rejection::invalid(FieldPath::new(field), "there is no such value", expected))
    };
    text.map(find).transpose()
}
