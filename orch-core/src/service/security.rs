//! What a container may do on its node. Safe by default; more only by the server's policy, checked by the agent again.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// User, capabilities, host access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// `uid`, `uid:gid` or names; `None`: the image's own.
    pub user: Option<String>,
    /// The root file system is read-only.
    pub read_only_root: bool,
    /// All privileges. Refused unless the policy allows it.
    pub privileged: bool,
    /// Capabilities on top of the engine's default set. Refused unless the policy allows each.
    pub cap_add: BTreeSet<Capability>,
    /// Capabilities taken away; empty means `NET_RAW` alone.
    pub cap_drop: BTreeSet<Capability>,
    /// The node's network. Refused unless the policy allows it.
    pub host_network: bool,
    /// The node's processes. Refused unless the policy allows it.
    pub host_pid: bool,
    /// Paths of the node. Refused unless the policy allows each; the engine's socket always.
    pub host_mounts: Vec<HostMount>,
}

/// A path of the node inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMount {
    /// Absolute, without `..`.
    pub host_path: String,
    /// Absolute, without `..`.
    pub container_path: String,
    /// Mounted read-only.
    #[serde(default)]
    pub read_only: bool,
}

/// A Linux capability, upper case and without `CAP_`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Capability(String);

impl Capability {
    /// The name, as in `NET_ADMIN`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Capability {
    type Err = InvalidCapability;
    fn from_str(text: &str) -> Result<Self, InvalidCapability> {
        let upper = text.trim().to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let fine =
            (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if fine { Ok(Self(name.to_owned())) } else { Err(InvalidCapability) }
    }
}

/// A text that is no capability name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a capability name has letters, digits and `_` only")]
pub struct InvalidCapability;

impl TryFrom<String> for Capability {
    type Error = InvalidCapability;
    fn try_from(text: String) -> Result<Self, InvalidCapability> {
        text.parse()
    }
}

impl From<Capability> for String {
    fn from(capability: Capability) -> Self {
        capability.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
