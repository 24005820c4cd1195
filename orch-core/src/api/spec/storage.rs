//! What is mounted into containers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_no_memory;
use super::parse::{absolute, invalid};
use crate::api::{Memory, is_false, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::service::{self, MountSource};

/// Something mounted into the container.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// `volume` or `tmpfs`.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Of a volume: its name within the namespace, a DNS label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Where in the container: absolute, without `..`.
    pub target: String,
    /// Of a volume: mounted read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Of a tmpfs: at most so much; 0: half of the node's memory.
    #[serde(skip_serializing_if = "is_no_memory")]
    pub size: Memory,
    /// Of a tmpfs: permission bits in octal digits, as `1777` (the default) or `0700`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountKind {
    /// A volume of the node that outlives the container.
    #[default]
    Volume,
    /// A folder on memory that ends with it.
    Tmpfs,
    /// A path of the node; those stand in `security_context.host_path_mounts`, where policy looks.
    Bind,
}

impl Mount {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<service::Mount, Rejection> {
        let only = |kind: &str| format!("to be left out; it belongs to type {kind}");
        let source = match self.kind {
            MountKind::Bind => {
                let expected =
                    "volume or tmpfs; a path of the node goes into `security_context.host_path_mounts`";
                return Err(invalid(at, "type", "`bind` is not one of the types here", expected));
            }
            MountKind::Volume => {
                let given = [("size", self.size.0 > 0), ("mode", !self.mode.is_empty())];
                if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
                    return Err(invalid(at, field, "given for a volume", only("tmpfs")));
                }
                let name = parse_at(&self.source, &at.field("source"), "the name of a volume")?;
                MountSource::Volume { name, read_only: self.read_only }
            }
            MountKind::Tmpfs => {
                let given = [("source", !self.source.is_empty()), ("read_only", self.read_only)];
                if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
                    return Err(invalid(at, field, "given for a tmpfs", only("volume")));
                }
                let mode = Some(self.mode.as_str()).filter(|mode| !mode.is_empty());
                let mode = mode.map(|mode| octal(mode, &at.field("mode"))).transpose()?;
                MountSource::Tmpfs { size_bytes: (self.size.0 > 0).then_some(self.size.0), mode }
            }
        };
        let target = absolute(&self.target, &at.field("target"))?;
        if target.split('/').all(|part| part.is_empty() || part == ".") {
            return Err(invalid(at, "target", "the root itself cannot be mounted over", "a path below `/`"));
        }
        Ok(service::Mount { target, source })
    }
}

impl Mount {
    /// As people read it: `data on /data, read-only`.
    #[must_use]
    pub fn describe(&self) -> String {
        let what = match self.kind {
            MountKind::Volume | MountKind::Bind => self.source.as_str(),
            MountKind::Tmpfs => "tmpfs",
        };
        let read_only = if self.read_only { ", read-only" } else { "" };
        format!("{what} on {}{read_only}", self.target)
    }
}

/// Permission bits, to the letter in octal: `0755` is never taken for a decimal number.
fn octal(text: &str, at: &FieldPath) -> Result<u32, Rejection> {
    let fine = (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = fine.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| {
        let problem = format!("`{}` is no mode", text.escape_debug());
        Rejection::invalid(at.clone(), problem, "permission bits in octal digits, as 1777 or 0700")
    })
}

impl From<&service::Mount> for Mount {
    fn from(mount: &service::Mount) -> Self {
        let target = mount.target.clone();
        match &mount.source {
            MountSource::Volume { name, read_only } => {
                let source = name.to_string();
                Self { kind: MountKind::Volume, source, target, read_only: *read_only, ..Self::default() }
            }
            MountSource::Tmpfs { size_bytes, mode } => Self {
                kind: MountKind::Tmpfs,
                target,
                size: Memory(size_bytes.unwrap_or(0)),
                mode: mode.map_or_else(String::new, |mode| format!("{mode:04o}")),
                ..Self::default()
            },
        }
    }
}
