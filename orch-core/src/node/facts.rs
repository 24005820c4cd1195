//! What a node is by itself, as its agent found it: usable in placement rules without anyone labelling it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Facts of a node. A rule names them with the prefix `node.`, as `node.arch`; they win over labels of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeFacts {
    /// Operating system, as engines name it: `linux`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Architecture, as images name it: `amd64`, `arm64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// What runs the containers: `docker`, `process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
}

impl NodeFacts {
    /// The names of all facts, the node's name included.
    pub const KEYS: [&'static str; 5] =
        ["node.name", "node.os", "node.arch", "node.engine", "node.engine_version"];

    /// The first fact that is no such thing: too long, or with control characters.
    #[must_use]
    pub fn unfit(&self) -> Option<&'static str> {
        let unfit = |value: &str| value.len() > 256 || value.chars().any(char::is_control);
        self.iter().find(|(_, value)| unfit(value)).map(|(key, _)| key)
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The facts that are known, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("node.os", &self.os),
            ("node.arch", &self.arch),
            ("node.engine", &self.engine),
            ("node.engine_version", &self.engine_version),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    /// The fact of that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}
