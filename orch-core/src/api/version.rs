//! Version, health, and who one is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::identity::{Principal, UserIdentity};
use crate::name::Namespace;

/// The version of the API: what `API-Version` says.
pub const API_VERSION: &str = "v1";

/// What the server is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct VersionInfo {
    /// `v1`.
    pub api_version: String,
    /// Of the server.
    pub server_version: String,
    /// Agents below are refused.
    pub minimum_agent_version: String,
    /// Agents above are accepted with a warning.
    pub maximum_tested_agent_version: String,
    /// Of the store now.
    pub database_schema_version: u32,
    /// That the server can work with.
    pub minimum_schema_version: u32,
    /// That the server can work with.
    pub maximum_schema_version: u32,
    /// Which cluster.
    #[serde(default)]
    pub cluster_id: String,
}

/// Whether the server is alive, or ready.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Health {
    /// `ok`, `ready` or `unavailable`.
    pub status: String,
    /// What is missing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// By the server's clock.
    pub time: Time,
}

/// Who one is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The subject; `anonymous` while user authentication is off.
    pub subject: String,
    /// The namespace of the request.
    pub namespace: String,
    /// The role that holds there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The role in the whole cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_role: Option<String>,
    /// Roles in single namespaces.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespace_roles: BTreeMap<String, String>,
}

impl WhoAmI {
    /// What a principal is in a namespace; nodes and the control plane itself have no roles.
    #[must_use]
    pub fn of(principal: &Principal, namespace: &Namespace) -> Self {
        let Principal::User(UserIdentity { subject, grants, .. }) = principal else { return Self::default() };
        let word = |role: crate::identity::Role| role.as_str().to_owned();
        Self {
            subject: subject.to_string(),
            namespace: namespace.to_string(),
            role: grants.in_namespace(namespace).map(word),
            cluster_role: grants.cluster.map(word),
            namespace_roles: grants
                .namespaces
                .iter()
                .map(|(name, role)| (name.to_string(), word(*role)))
                .collect(),
        }
    }
}
