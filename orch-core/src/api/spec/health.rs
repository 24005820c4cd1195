//! How the agent tells whether a task serves.

use std::num::NonZeroU16;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::{arguments, invalid};
use crate::api::Nanos;
use crate::api::word::words;
use crate::command::{FieldPath, Rejection};
use crate::service::health::MIN_EXEC_INTERVAL;
use crate::service::{self, PortSpec, Probe, Publish};

/// Where nothing is said: between probes, for one probe, for one command.
const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
const EXEC_TIMEOUT: Duration = Duration::from_secs(5);
/// What takes longer than a day is a mistake.
const LONGEST: Duration = Duration::from_secs(86_400);

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
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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
    /// Of `http` and `tcp`: a TCP port of the spec; 0: its first.
    pub port: u16,
    /// Of `exec`: program and arguments, run inside the container without a shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Between probes; 0: 5 s, which is the least for `exec`.
    pub interval: Nanos,
    /// For one probe; 0: 2 s, for `exec` 5 s.
    pub timeout: Nanos,
    /// How long after its start failures do not count, until the first success; 0: they count at once.
    #[serde(skip_serializing_if = "Nanos::is_unset")]
    pub start_period: Nanos,
    /// Successes in a row until healthy; 0: 1.
    pub healthy_threshold: u32,
    /// Failures in a row until unhealthy; 0: 3.
    pub unhealthy_threshold: u32,
}

/// What a health check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// Nothing.
    #[default]
    None,
    /// `GET`.
    Http,
    /// Opens a connection.
    Tcp,
    /// Runs a command inside the container.
    Exec,
}

impl HealthCheck {
    pub(super) fn parse(
        &self,
        ports: &[PortSpec],
        at: &FieldPath,
    ) -> Result<Option<service::HealthCheck>, Rejection> {
        if self.kind == ProbeKind::None {
            return Ok(None);
        }
        self.refuse_what_is_of_another_kind(at)?;
        let (probe, timeout) = match self.kind {
            ProbeKind::None => return Ok(None),
            ProbeKind::Tcp => (Probe::Tcp { port: self.parse_port(ports, at)? }, TIMEOUT),
            ProbeKind::Http => {
                let port = self.parse_port(ports, at)?;
                let scheme = self.scheme.map_or_else(Default::default, Into::into);
                (Probe::Http { port, scheme, path: self.parse_path(at)? }, TIMEOUT)
            }
            ProbeKind::Exec => {
                let command = arguments(&self.command, &at.field("command"))?;
                if command.first().is_none_or(String::is_empty) {
                    return Err(invalid(at, "command", "it is empty", "a program and its arguments"));
                }
                (Probe::Exec { command }, EXEC_TIMEOUT)
            }
        };
        let interval = self.interval.or(INTERVAL);
        if self.kind == ProbeKind::Exec && interval < MIN_EXEC_INTERVAL {
            let problem = "commands inside containers are not run so often";
            return Err(invalid(at, "interval", problem, "at least 5 s; or a check of type http or tcp"));
        }
        let timeout = self.timeout.or(timeout);
        let start_period = self.start_period.or(Duration::ZERO);
        for (field, time) in [("interval", interval), ("timeout", timeout), ("start_period", start_period)] {
            if time > LONGEST {
                return Err(invalid(at, field, "too long", "at most one day"));
            }
        }
        let or = |threshold: u32, default: u32| if threshold == 0 { default } else { threshold };
        Ok(Some(service::HealthCheck {
            probe,
            interval,
            timeout,
            start_period,
            healthy_threshold: or(self.healthy_threshold, 1),
            unhealthy_threshold: or(self.unhealthy_threshold, 3),
        }))
    }

    /// As people read it: `http :8080/health`, `exec /bin/check -q`.
    #[must_use]
    pub fn describe(&self) -> String {
        match self.kind {
            ProbeKind::None => "none".to_owned(),
            ProbeKind::Tcp => format!("tcp :{}", self.port),
            ProbeKind::Exec => format!("exec {}", self.command.join(" ")),
            ProbeKind::Http => {
                let scheme = if self.scheme == Some(Scheme::Https) { "https" } else { "http" };
                format!("{scheme} :{}{}", self.port, self.path.as_deref().unwrap_or_default())
            }
        }
    }

    fn refuse_what_is_of_another_kind(&self, at: &FieldPath) -> Result<(), Rejection> {
        let (http, exec) = (self.kind == ProbeKind::Http, self.kind == ProbeKind::Exec);
        let has_path = self.path.as_deref().is_some_and(|path| !path.is_empty());
        let fields = [
            ("path", has_path && !http, "type http"),
            ("scheme", self.scheme.is_some() && !http, "type http"),
            ("command", !self.command.is_empty() && !exec, "type exec"),
            ("port", self.port != 0 && exec, "type http or tcp"),
        ];
        match fields.into_iter().find(|(_, foreign, _)| *foreign) {
            None => Ok(()),
            Some((field, _, kind)) => {
                let expected = format!("to be left out, or {kind}");
                Err(invalid(at, field, "given for a check of another type", expected))
            }
        }
    }

    fn parse_port(&self, ports: &[PortSpec], at: &FieldPath) -> Result<NonZeroU16, Rejection> {
        let mut tcp = ports.iter().filter(|port| port.protocol == service::Protocol::Tcp);
        let port = if self.port == 0 {
            tcp.next().map(|port| port.container_port)
        } else {
            let named = |port: &&PortSpec| {
                port.container_port.get() == self.port
                    || matches!(port.publish, Publish::Fixed(fixed) if fixed.get() == self.port)
            };
            tcp.find(named).and(NonZeroU16::new(self.port))
        };
        port.ok_or_else(|| {
            let problem = "the spec has no such TCP port, so it could never be probed";
            invalid(at, "port", problem, "a container port of `ports`")
        })
    }

    fn parse_path(&self, at: &FieldPath) -> Result<String, Rejection> {
        let path = self.path.as_deref().unwrap_or_default();
        let fine = path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains("://")
            && path.len() <= 2048
            && !path.chars().any(|c| c.is_control() || c == ' ');
        if fine {
            return Ok(path.to_owned());
        }
        Err(invalid(at, "path", "not the path of a URL", "a path that begins with one `/`"))
    }
}

impl From<&service::HealthCheck> for HealthCheck {
    fn from(check: &service::HealthCheck) -> Self {
        let (kind, scheme, path, command) = match &check.probe {
            Probe::Tcp { .. } => (ProbeKind::Tcp, None, None, Vec::new()),
            Probe::Http { scheme, path, .. } => {
                (ProbeKind::Http, Some((*scheme).into()), Some(path.clone()), Vec::new())
            }
            Probe::Exec { command } => (ProbeKind::Exec, None, None, command.clone()),
        };
        Self {
            kind,
            scheme,
            path,
            port: check.probe.port().map_or(0, NonZeroU16::get),
            command,
            interval: check.interval.into(),
            timeout: check.timeout.into(),
            start_period: check.start_period.into(),
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
        }
    }
}
