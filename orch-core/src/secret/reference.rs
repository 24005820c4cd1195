//! How a spec names a secret: by reference only, never by value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{EnvName, SecretName};

/// One secret that a task wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretRef {
    /// The secret, within the service's namespace.
    pub name: SecretName,
    /// One key of a secret that holds several; `None` means the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How the task gets it.
    pub delivery: SecretDelivery,
}

/// How a secret's value reaches the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretDelivery {
    /// An environment variable; visible to whoever may inspect the container.
    Env(EnvName),
    /// A read-only file at this absolute path, on memory only.
    File(String),
}
