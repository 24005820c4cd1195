//! What the engine is told of a container beyond image, resources and rights.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Limits that are no CPU or memory, names, logging. What is not set is the engine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSettings {
    /// The host name; `None`: service and slot, as `web-3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How many processes and threads there may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<NonZeroU32>,
    /// Resource limits of each process.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<UlimitName, Ulimit>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_bytes: Option<u64>,
    /// Where output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSettings>,
    /// How names are resolved.
    #[serde(skip_serializing_if = "Dns::is_default")]
    pub dns: Dns,
    /// Names that are known without asking.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, HostAddress>,
}

impl ContainerSettings {
    /// Whether all is the engine's own.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

macro_rules! ulimits {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A resource limit of a process, as `setrlimit` knows it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[expect(missing_docs, reason = "their manual is getrlimit(2)")]
        pub enum UlimitName { $($name),* }
        impl UlimitName {
            /// All of them, by name.
            pub const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$name)),*];
            /// The name, as in `nofile`.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),* } }
        }
    };
}
ulimits! {
    Core = "core", Cpu = "cpu", Data = "data", Fsize = "fsize", Locks = "locks", Memlock = "memlock",
    Msgqueue = "msgqueue", Nice = "nice", Nofile = "nofile", Nproc = "nproc", Rss = "rss", Rtprio = "rtprio",
    Rttime = "rttime", Sigpending = "sigpending", Stack = "stack",
}

/// What a process may use, and what it may raise that to itself. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// In force.
    pub soft: Option<u64>,
    /// The most.
    pub hard: Option<u64>,
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSettings {
    /// The engine's log driver, as `json-file`.
    pub driver: String,
    /// Its options. For `json-file` and `local`, what is left out of `max-size` and `max-file` is bounded all the same.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

/// How names are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// Who is asked.
    pub servers: Vec<IpAddr>,
    /// Domains in which names are looked for.
    pub search: Vec<String>,
    /// Options of the resolver, as `ndots:2`.
    pub options: Vec<String>,
}

impl Dns {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The address that a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostAddress {
    /// This one.
    Address(IpAddr),
    /// The node, as the container reaches it: `host-gateway`.
    Gateway,
}

/// A text that is neither an address nor `host-gateway`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither an IP address nor `host-gateway`")]
pub struct InvalidHostAddress;

impl FromStr for HostAddress {
    type Err = InvalidHostAddress;
    fn from_str(text: &str) -> Result<Self, InvalidHostAddress> {
        match text {
            "host-gateway" => Ok(Self::Gateway),
            text => text.parse().map(Self::Address).map_err(|_| InvalidHostAddress),
        }
    }
}

impl TryFrom<String> for HostAddress {
    type Error = InvalidHostAddress;
    fn try_from(text: String) -> Result<Self, InvalidHostAddress> {
        text.parse()
    }
}

impl From<HostAddress> for String {
    fn from(address: HostAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Gateway => f.write_str("host-gateway"),
        }
    }
}
