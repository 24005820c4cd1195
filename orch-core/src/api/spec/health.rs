//! How the agent tells whether a task serves.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parse::invalid;
use crate::api::Nanos;
use crate::api::word::words;
use crate::command::{FieldPath, Rejection};
use crate::service::{self, Probe, Publish};

words! {
    /// Of an HTTP probe.
    Scheme is service::Scheme {
        /// Plain.
        Http = "http",
        /// TLS, certificate not verified.
        Https = "https",
    }
}

/// A health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// What is done.
    #[serde(rename = "type")]
    pub kind: ProbeKind,
    /// Of `http` only; left out: `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,
    /// Of `http` only; begins with one `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A TCP port of the spec; 0: its first.
    pub port: u16,
    /// Between probes; 0: 5 s.
    pub interval: Nanos,
    /// For one probe; 0: 2 s.
    pub timeout: Nanos,
    /// Successes in a row until healthy; 0: 1.
    pub healthy_threshold: u32,
    /// Failures in a row until unhealthy; 0: 3.
    pub unhealthy_threshold: u32,
}

/// What a health check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// Nothing.
    #[default]
    None,
    /// `GET`.
    Http,
    /// Opens a connection.
    Tcp,
}

impl HealthCheck {
    pub(super) fn parse(
        &self,
        ports: &[service::PortSpec],
        at: &FieldPath,
    ) -> Result<Option<service::HealthCheck>, Rejection> {
        let path = self.path.as_deref().filter(|path| !path.is_empty());
        let probe = match self.kind {
            ProbeKind::None => return Ok(None),
            ProbeKind::Tcp if self.scheme.is_some() || path.is_some() => {
                let field = if path.is_some() { "path" } else { "scheme" };
                return Err(invalid(at, field, "given for a tcp check", "to be left out, or type http"));
            }
            ProbeKind::Tcp => Probe::Tcp,
            // The agent's prober speaks no TLS yet: such a task would never become healthy, and nobody would know why.
            ProbeKind::Http if self.scheme == Some(Scheme::Https) => {
                return Err(invalid(at, "scheme", "not available in this release", "http, or type tcp"));
            }
            ProbeKind::Http => {
                let path = path.unwrap_or_default();
                let fine = path.starts_with('/')
                    && !path.starts_with("//")
                    && !path.contains("://")
                    && path.len() <= 2048
                    && !path.chars().any(|c| c.is_control() || c == ' ');
                if !fine {
                    return Err(invalid(
                        at,
                        "path",
                        "not the path of a URL",
                        "a path that begins with one `/`",
                    ));
                }
                Probe::Http {
                    scheme: self.scheme.map_or_else(Default::default, Into::into),
                    path: path.to_owned(),
                }
            }
        };
        let tcp = |port: &&service::PortSpec| port.protocol == service::Protocol::Tcp;
        let port = if self.port == 0 {
            ports.iter().find(tcp).map(|port| port.container_port)
        } else {
            let named = |port: &&service::PortSpec| {
                port.container_port.get() == self.port
                    || matches!(port.publish, Publish::Fixed(fixed) if fixed.get() == self.port)
            };
            ports.iter().filter(tcp).find(named).and(NonZeroU16::new(self.port))
        };
        let Some(port) = port else {
            let problem = "the spec has no such TCP port, so it could never be probed";
            return Err(invalid(at, "port", problem, "a container port of `ports`"));
        };
        let or = |threshold: u32, default: u32| if threshold == 0 { default } else { threshold };
        Ok(Some(service::HealthCheck {
            probe,
            port,
            interval: self.interval.or(Duration::from_secs(5)),
            timeout: self.timeout.or(Duration::from_secs(2)),
            healthy_threshold: or(self.healthy_threshold, 1),
            unhealthy_threshold: or(self.unhealthy_threshold, 3),
        }))
    }
}

impl From<&service::HealthCheck> for HealthCheck {
    fn from(check: &service::HealthCheck) -> Self {
        let (kind, scheme, path) = match &check.probe {
            Probe::Tcp => (ProbeKind::Tcp, None, None),
            Probe::Http { scheme, path } => (ProbeKind::Http, Some((*scheme).into()), Some(path.clone())),
        };
        Self {
            kind,
            scheme,
            path,
            port: check.port.get(),
            interval: check.interval.into(),
            timeout: check.timeout.into(),
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
        }
    }
}
