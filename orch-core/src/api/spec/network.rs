//! Ports, and ways in from outside.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::{each, invalid};
use crate::api::is_false;
use crate::api::word::words;
use crate::command::{FieldPath, Rejection};
use crate::service::{self, Publish};

words! {
    /// Transport of a port.
    #[derive(Default)]
    Protocol is service::Protocol {
        /// TCP.
        #[default]
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
    }
}

/// A port that the container listens on.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Port {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Transport.
    #[serde(default)]
    pub protocol: Protocol,
    /// 1 to 65535.
    pub container_port: u16,
    /// On the node; 0: chosen from 30000 to 32767.
    #[serde(default)]
    pub published_port: u16,
}

/// One way in from outside.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Route {
    /// The host name that requests carry.
    pub host: String,
    /// Begins with `/`.
    pub path_prefix: String,
    /// A TCP container port of the spec.
    pub port: u16,
    /// Whether TLS is asked for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
}

pub(super) fn parse_ports(ports: &[Port], at: &FieldPath) -> Result<Vec<service::PortSpec>, Rejection> {
    let parsed = each(ports, at, |port, at| {
        let Some(container_port) = NonZeroU16::new(port.container_port) else {
            return Err(invalid(at, "container_port", "0 is no port", "1 to 65535"));
        };
        Ok(service::PortSpec {
            name: port.name.clone().filter(|name| !name.is_empty()),
            protocol: port.protocol.into(),
            container_port,
            publish: NonZeroU16::new(port.published_port).map_or(Publish::Dynamic, Publish::Fixed),
        })
    })?;
    let (mut inside, mut outside) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in parsed.iter().enumerate() {
        if !inside.insert((port.protocol, port.container_port)) {
            let problem = format!("container port {} is given twice", port.container_port);
            return Err(invalid(&at.index(index), "container_port", problem, "each port once"));
        }
        if let Publish::Fixed(fixed) = port.publish
            && !outside.insert((port.protocol, fixed))
        {
            let problem = format!("published port {fixed} is given twice");
            return Err(invalid(&at.index(index), "published_port", problem, "each port once"));
        }
    }
    Ok(parsed)
}

impl Route {
    pub(super) fn parse(
        &self,
        ports: &[service::PortSpec],
        at: &FieldPath,
    ) -> Result<service::Route, Rejection> {
        let unfit =
            |text: &str| text.chars().any(|c| c.is_control() || c.is_whitespace() || "`\"".contains(c));
        if self.host.is_empty() || self.host.len() > 253 || unfit(&self.host) {
            return Err(invalid(at, "host", "not a host name", "a host name"));
        }
        if !self.path_prefix.starts_with('/') || unfit(&self.path_prefix) {
            return Err(invalid(at, "path_prefix", "not the path of a URL", "a path that begins with `/`"));
        }
        let serves = |port: &service::PortSpec| {
            port.protocol == service::Protocol::Tcp && port.container_port.get() == self.port
        };
        if !ports.iter().any(serves) {
            return Err(invalid(at, "port", "the spec has no such TCP port", "a container port of `ports`"));
        }
        Ok(service::Route {
            host: self.host.clone(),
            path_prefix: self.path_prefix.clone(),
            port: self.port,
            tls: self.tls,
        })
    }
}

impl From<&service::PortSpec> for Port {
    fn from(port: &service::PortSpec) -> Self {
        Self {
            name: port.name.clone(),
            protocol: port.protocol.into(),
            container_port: port.container_port.get(),
            published_port: match port.publish {
                Publish::Dynamic => 0,
                Publish::Fixed(port) => port.get(),
            },
        }
    }
}

impl From<&service::AssignedPort> for Port {
    fn from(port: &service::AssignedPort) -> Self {
        Self {
            name: port.name.clone(),
            protocol: port.protocol.into(),
            container_port: port.container_port.get(),
            published_port: port.host_port.get(),
        }
    }
}

impl From<&service::Route> for Route {
    fn from(route: &service::Route) -> Self {
        Self {
            host: route.host.clone(),
            path_prefix: route.path_prefix.clone(),
            port: route.port,
            tls: route.tls,
        }
    }
}
