//! Ports of a container and on its node.

use std::fmt;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "AssignedProtocol")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A port that the container listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// Transport.
    pub protocol: Protocol,
    /// Inside the container.
    pub container_port: NonZeroU16,
    /// Where the node publishes it.
    pub publish: Publish,
}

/// How a port is published on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// On a free port of [`DYNAMIC_PORTS`] that the scheduler chooses.
    Dynamic,
    /// On this port: one replica a node, replaced stop-first.
    Fixed(NonZeroU16),
}

/// Where dynamic ports come from, on each node.
pub const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;

/// A port as assigned to one task on its node.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AssignedPort {
    /// From the spec.
    #[serde(default)]
    pub name: Option<String>,
    /// Transport.
    pub protocol: Protocol,
    /// Inside the container.
    pub container_port: NonZeroU16,
    /// On the node: owned by this task alone.
    pub host_port: NonZeroU16,
}
