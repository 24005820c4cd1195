//! What a container may do on its node.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::{absolute, each, invalid, optional};
use crate::api::{is_false, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::service;

/// User, capabilities, host access.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// `uid`, `uid:gid` or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The root file system is read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_root_filesystem: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Empty: `NET_RAW`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub host_network: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub host_pid: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_path_mounts: Vec<HostPathMount>,
}

/// A path of the node inside the container.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HostPathMount {
    /// Absolute, without `..`.
    pub host_path: String,
    /// Absolute, without `..`.
    pub container_path: String,
    /// Mounted read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

impl SecurityContext {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<service::SecurityContext, Rejection> {
        let capabilities = |names: &[String],
                            field: &str|
         -> Result<BTreeSet<service::Capability>, Rejection> {
            let parsed = each(names, &at.field(field), |name, at| parse_at(name, at, "a capability's name"))?;
            Ok(parsed.into_iter().collect())
        };
        let user = optional(self.user.as_deref(), |user| {
            let bad = user.len() > 256 || user.chars().any(char::is_control);
            if bad {
                Err(invalid(at, "user", "holds a control character", "uid, uid:gid or names"))
            } else {
                Ok(user.to_owned())
            }
        })?;
        Ok(service::SecurityContext {
            user,
            read_only_root: self.read_only_root_filesystem,
            privileged: self.privileged,
            cap_add: capabilities(&self.cap_add, "cap_add")?,
            cap_drop: capabilities(&self.cap_drop, "cap_drop")?,
            host_network: self.host_network,
            host_pid: self.host_pid,
            host_mounts: each(&self.host_path_mounts, &at.field("host_path_mounts"), HostPathMount::parse)?,
        })
    }
}

impl HostPathMount {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<service::HostMount, Rejection> {
        Ok(service::HostMount {
            host_path: absolute(&self.host_path, &at.field("host_path"))?,
            container_path: absolute(&self.container_path, &at.field("container_path"))?,
            read_only: self.read_only,
        })
    }
}

impl From<&service::SecurityContext> for SecurityContext {
    fn from(security: &service::SecurityContext) -> Self {
        let names = |set: &std::collections::BTreeSet<service::Capability>| {
            set.iter().map(ToString::to_string).collect()
        };
        Self {
            user: security.user.clone(),
            read_only_root_filesystem: security.read_only_root,
            privileged: security.privileged,
            cap_add: names(&security.cap_add),
            cap_drop: names(&security.cap_drop),
            host_network: security.host_network,
            host_pid: security.host_pid,
            host_path_mounts: security
                .host_mounts
                .iter()
                .map(|mount| HostPathMount {
                    host_path: mount.host_path.clone(),
                    container_path: mount.container_path.clone(),
                    read_only: mount.read_only,
                })
                .collect(),
        }
    }
}
