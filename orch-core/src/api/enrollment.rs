//! Tokens that admit nodes, on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::Token;
use super::{Time, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::control_plane::TokenRequest;
use crate::identity::{self, ServerPin};
use crate::node;
use crate::time::Timestamp;

/// A token that admits nodes, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EnrollmentToken {
    /// Its id.
    pub id: String,
    /// `live`, `spent`, `expired` or `revoked`.
    pub status: String,
    /// The one name that it admits; left out: any that nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Labels of the nodes that it admits, which these cannot change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many nodes it admits.
    pub uses: u32,
    /// Those that it admitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub admitted: Vec<AdmittedNode>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub created_at: Time,
    /// From when on it admits nobody.
    pub expires_at: Time,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// A node that a token admitted.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AdmittedNode {
    /// Its id.
    pub node_id: String,
    /// Its name then.
    pub name: String,
    /// When.
    pub at: Time,
}

impl EnrollmentToken {
    /// A token as it is now.
    #[must_use]
    pub fn view(row: &identity::EnrollmentToken, now: Timestamp) -> Self {
        let admitted = row.admitted.iter().map(|admission| AdmittedNode {
            node_id: admission.node.to_string(),
            name: admission.name.to_string(),
            at: admission.at.into(),
        });
        Self {
            id: row.id.to_string(),
            status: row.state(now).as_str().to_owned(),
            node_name: row.node_name.as_ref().map(ToString::to_string),
            labels: row.labels.clone(),
            uses: row.uses,
            admitted: admitted.collect(),
            made_by: row.made_by.clone(),
            created_at: row.created_at.into(),
            expires_at: row.expires_at.into(),
            revoked_at: row.revoked_at.map(Into::into),
        }
    }
}

/// Makes a token that admits nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct EnrollmentTokenRequest {
    /// The one name that it admits; left out: any that nobody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Labels of the nodes that it admits, which these cannot change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How many nodes it admits, 1 to 1000; left out: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How many seconds it admits them, at most 30 days; left out: an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

impl EnrollmentTokenRequest {
    /// What is asked for. `server`: how agents know the server that is asked.
    ///
    /// # Errors
    /// The name is none.
    pub fn parse(&self, server: Option<ServerPin>) -> Result<TokenRequest, Rejection> {
        let mut request = TokenRequest::default();
        if let Some(name) = &self.node_name {
            request.node_name = Some(parse_at(name, &FieldPath::new("node_name"), "a node's name")?);
        }
        request.labels.clone_from(&self.labels);
        request.uses = self.uses.unwrap_or(request.uses);
        request.life = self.ttl_seconds.map_or(request.life, Duration::from_secs);
        request.server = server;
        Ok(request)
    }
}

/// A new token. Nobody is told it again.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct NewEnrollmentTokenAnswer {
    /// What agents show.
    pub token: Token,
    /// What is kept of it.
    pub enrollment_token: EnrollmentToken,
}

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EnrollmentTokenAnswer {
    /// The token.
    pub enrollment_token: EnrollmentToken,
}

/// All tokens that are kept, the newest first: those that ended, too, for a week.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct EnrollmentTokensAnswer {
    /// The tokens.
    pub enrollment_tokens: Vec<EnrollmentToken>,
}

/// How a node came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NodeEnrollment {
    /// `one_time_token`, `static_token`, `approved_key`, `open`, an attestor's own word, or `unknown`: before that was noted.
    pub method: String,
    /// Which one-time token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// Who made the token, or approved the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

impl From<&node::NodeEnrollment> for NodeEnrollment {
    fn from(enrollment: &node::NodeEnrollment) -> Self {
        let token_id = match &enrollment.method {
            node::EnrollmentMethod::OneTimeToken(id) => Some(id.to_string()),
            _ => None,
        };
        Self {
            method: enrollment.method.as_str().to_owned(),
            token_id,
            by: enrollment.by.clone(),
            at: enrollment.at.map(Into::into),
        }
    }
}

/// Another key that a node may come with, once.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ApprovedKey {
    /// SHA-256 of the key, as the agent says it.
    pub fingerprint: String,
    /// Who approved it.
    pub by: String,
    /// For so long.
    pub until: Time,
}

impl From<&node::ApprovedKey> for ApprovedKey {
    fn from(approved: &node::ApprovedKey) -> Self {
        Self {
            fingerprint: approved.fingerprint.to_string(),
            by: approved.by.clone(),
            until: approved.until.into(),
        }
    }
}

/// Approves another key for a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ApproveKeyRequest {
    /// `sha256:` and 64 hexadecimal digits, as the agent says it.
    pub fingerprint: String,
    /// How many seconds the approval holds, at most a day; left out: an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_seconds: Option<u64>,
}
