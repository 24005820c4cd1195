//! Health checks, carried out by the agent: against the task's own address, or inside its own container.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How and how often to ask a task whether it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Between probes; at least [`MIN_EXEC_INTERVAL`] for commands.
    pub interval: Duration,
    /// For one probe.
    pub timeout: Duration,
    /// How long after its start failures do not count, until the first success.
    pub start_period: Duration,
    /// Successes in a row until healthy.
    pub healthy_threshold: u32,
    /// Failures in a row until unhealthy.
    pub unhealthy_threshold: u32,
}

/// Commands inside a container are run no more often: each costs the engine a process, and many engines a zombie (M52).
pub const MIN_EXEC_INTERVAL: Duration = Duration::from_secs(5);

/// What a probe does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `GET`; 200 to 399 is success; redirects are not followed.
    Http {
        /// A TCP port of the spec: the container's, or the fixed published one.
        port: NonZeroU16,
        /// Plain or TLS (certificate not verified: it is the task's own address).
        scheme: Scheme,
        /// Begins with one `/`.
        path: String,
    },
    /// A connection that opens is success.
    Tcp {
        /// A TCP port of the spec: the container's, or the fixed published one.
        port: NonZeroU16,
    },
    /// A command inside the container that ends with 0 is success.
    Exec {
        /// Program and arguments; no shell.
        command: Vec<String>,
    },
}

impl Probe {
    /// The port that is asked, if one is.
    #[must_use]
    pub const fn port(&self) -> Option<NonZeroU16> {
        match self {
            Self::Http { port, .. } | Self::Tcp { port } => Some(*port),
            Self::Exec { .. } => None,
        }
    }
}

/// Of an HTTP probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// TLS.
    Https,
}

/// A check as it is kept: the port beside what is done with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    probe: StoredProbe,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<NonZeroU16>,
    interval: Duration,
    timeout: Duration,
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    start_period: Duration,
    healthy_threshold: u32,
    unhealthy_threshold: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum StoredProbe {
    Http { scheme: Scheme, path: String },
    Tcp,
    Exec { command: Vec<String> },
}

impl From<HealthCheck> for Stored {
    fn from(check: HealthCheck) -> Self {
        let port = check.probe.port();
        let probe = match check.probe {
            Probe::Http { scheme, path, .. } => StoredProbe::Http { scheme, path },
            Probe::Tcp { .. } => StoredProbe::Tcp,
            Probe::Exec { command } => StoredProbe::Exec { command },
        };
        Self {
            probe,
            port,
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
        }
    }
}

impl TryFrom<Stored> for HealthCheck {
    type Error = &'static str;
    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let port = stored.port.ok_or("the check asks a `port`");
        let probe = match stored.probe {
            StoredProbe::Http { scheme, path } => Probe::Http { port: port?, scheme, path },
            StoredProbe::Tcp => Probe::Tcp { port: port? },
            StoredProbe::Exec { command } => Probe::Exec { command },
        };
        Ok(Self {
            probe,
            interval: stored.interval,
            timeout: stored.timeout,
            start_period: stored.start_period,
            healthy_threshold: stored.healthy_threshold,
            unhealthy_threshold: stored.unhealthy_threshold,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_kept_as_checks_always_were() {
        let old = r#"{"probe":{"type":"http","scheme":"http","path":"/"},"port":80,"interval":{"secs":5,"nanos":0},"timeout":{"secs":2,"nanos":0},"healthy_threshold":1,"unhealthy_threshold":3}"#;
        let check: HealthCheck = serde_json::from_str(old).unwrap();
        assert_eq!(check.probe.port(), NonZeroU16::new(80));
        assert_eq!(serde_json::to_string(&check).unwrap(), old, "and so keeps the digest of its template");
        let command = vec!["check".to_owned()];
        for probe in [Probe::Tcp { port: NonZeroU16::MIN }, Probe::Exec { command }] {
            let check = HealthCheck { probe, start_period: Duration::from_secs(1), ..check.clone() };
            let json = serde_json::to_string(&check).unwrap();
            assert_eq!(serde_json::from_str::<HealthCheck>(&json).unwrap(), check, "{json}");
        }
        assert!(serde_json::from_str::<HealthCheck>(&old.replace(r#""port":80,"#, "")).is_err());
    }
}
