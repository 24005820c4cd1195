//! Namespaces on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::cluster::NamespaceRecord;

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Time,
}

impl From<&NamespaceRecord> for Namespace {
    fn from(record: &NamespaceRecord) -> Self {
        Self { name: record.name.to_string(), created_at: record.created_at.into() }
    }
}

/// Makes a namespace.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NamespaceRequest {
    /// Its name.
    pub name: String,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NamespaceAnswer {
    /// The namespace.
    pub namespace: Namespace,
}

/// Namespaces, by name; `default` among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct NamespacesAnswer {
    /// The namespaces.
    pub namespaces: Vec<Namespace>,
}
