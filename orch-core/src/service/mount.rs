//! What a container finds in its file system beside its image: volumes that outlive it, and folders on memory.

use serde::{Deserialize, Serialize};

use crate::name::VolumeName;

/// Something mounted into a container. Paths of the node are apart, in
/// [`SecurityContext::host_mounts`](super::SecurityContext::host_mounts), since policy decides on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where in the container: absolute, without `..`.
    pub target: String,
    /// What is there.
    pub source: MountSource,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum MountSource {
    /// A volume of the node: made when it is first wanted, shared by the tasks of the namespace that name it there, and never
    /// removed with any of them.
    Volume {
        /// Its name within the namespace.
        name: VolumeName,
        /// Mounted read-only.
        #[serde(default)]
        read_only: bool,
    },
    /// A folder on memory that ends with the container. What it holds counts against the memory limit.
    Tmpfs {
        /// At most so many bytes; `None`: half of the node's memory.
        #[serde(default)]
        size_bytes: Option<u64>,
        /// Permission bits; `None`: 1777, anyone may write and only owners remove.
        #[serde(default)]
        mode: Option<u32>,
    },
}
