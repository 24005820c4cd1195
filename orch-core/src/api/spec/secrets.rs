//! Secrets, by reference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::{absolute, invalid};
use crate::api::parse_at;
use crate::command::{FieldPath, Rejection};
use crate::secret::{self, SecretDelivery};

/// One secret that a task wants: a variable, or a file if `file` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretRef {
    /// The secret, within the service's namespace.
    pub name: String,
    /// One key of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The variable; left out: `key`, else `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A read-only file at this absolute path, on memory only. Not together with `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl SecretRef {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<secret::SecretRef, Rejection> {
        let blank_is_unset = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let key = blank_is_unset(&self.key);
        let delivery = match (blank_is_unset(&self.env), blank_is_unset(&self.file)) {
            (Some(_), Some(_)) => {
                return Err(invalid(at, "file", "given together with `env`", "one of the two"));
            }
            (None, Some(path)) => SecretDelivery::File(absolute(&path, &at.field("file"))?),
            (env, None) => {
                let name = env.or_else(|| key.clone()).unwrap_or_else(|| self.name.clone());
                let expected = "the name of a variable in `env`, or a path in `file`";
                SecretDelivery::Env(parse_at(&name, &at.field("env"), expected)?)
            }
        };
        Ok(secret::SecretRef {
            name: parse_at(&self.name, &at.field("name"), "a secret's name")?,
            key,
            delivery,
        })
    }
}

impl From<&secret::SecretRef> for SecretRef {
    fn from(secret: &secret::SecretRef) -> Self {
        let (env, file) = match &secret.delivery {
            SecretDelivery::Env(name) => (Some(name.to_string()), None),
            SecretDelivery::File(path) => (None, Some(path.clone())),
        };
        Self { name: secret.name.to_string(), key: secret.key.clone(), env, file }
    }
}
