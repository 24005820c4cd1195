//! What the engine is told of a container beyond image, resources and rights.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServiceSpec;
use super::parse::{each, invalid};
use crate::api::{Memory, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::service::settings::{ContainerSettings, LogSettings, UlimitName};
use crate::service::{self, settings};

/// A limit of each process; −1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Ulimit {
    /// In force.
    pub soft: i64,
    /// What a process may raise it to.
    pub hard: i64,
}

/// Where output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// A log driver of the engine.
    pub driver: String,
    /// Its options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How names are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    /// IP addresses of those that are asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
    /// Domains in which names are looked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Options of the resolver, as `ndots:2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Dns {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Drivers of the engine that need no plugin.
const DRIVERS: [&str; 10] =
    ["json-file", "local", "journald", "none", "syslog", "gelf", "fluentd", "splunk", "awslogs", "gcplogs"];
/// The most entries that one list may have.
const MOST: usize = 64;

impl ServiceSpec {
    pub(super) fn parse_settings(&self, at: &FieldPath) -> Result<ContainerSettings, Rejection> {
        let hostname = self.hostname.as_deref().filter(|name| !name.is_empty());
        if let Some(name) = hostname {
            if !is_host_name(name) || name.len() > 63 {
                let problem = format!("`{}` is no host name", name.escape_debug());
                return Err(invalid(at, "hostname", problem, "at most 63 of a-z, 0-9, `-` and `.`"));
            }
            if self.security_context.host_network {
                let problem = "given together with the node's network, where the node's name is used";
                return Err(invalid(at, "hostname", problem, "to be left out"));
            }
        }
        Ok(ContainerSettings {
            hostname: hostname.map(str::to_owned),
            pids_limit: NonZeroU32::new(self.pids_limit),
            ulimits: parse_ulimits(&self.ulimits, &at.field("ulimits"))?,
            shm_bytes: (self.shm_size.0 > 0).then_some(self.shm_size.0),
            log: self.log.as_ref().map(|log| log.parse(&at.field("log"))).transpose()?,
            dns: self.dns.parse(&at.field("dns"))?,
            extra_hosts: self.parse_hosts(&at.field("extra_hosts"))?,
        })
    }

    fn parse_hosts(&self, at: &FieldPath) -> Result<BTreeMap<String, settings::HostAddress>, Rejection> {
        if self.extra_hosts.len() > MOST {
            return Err(Rejection::invalid(at.clone(), "too many", format!("at most {MOST}")));
        }
        let parse = |(name, address): (&String, &String)| {
            if !is_host_name(name) {
                let problem = format!("`{}` is no host name", name.escape_debug());
                return Err(Rejection::invalid(at.clone(), problem, "letters, digits, `-`, `_` and `.`"));
            }
            Ok((name.clone(), parse_at(address, &at.field(name), "10.0.0.5, fd00::5 or host-gateway")?))
        };
        self.extra_hosts.iter().map(parse).collect()
    }

    pub(super) fn render_settings(&mut self, settings: &ContainerSettings) {
        self.hostname.clone_from(&settings.hostname);
        self.pids_limit = settings.pids_limit.map_or(0, NonZeroU32::get);
        let wire = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let ulimits = settings.ulimits.iter().map(|(name, limit)| {
            (name.as_str().to_owned(), Ulimit { soft: wire(limit.soft), hard: wire(limit.hard) })
        });
        self.ulimits = ulimits.collect();
        self.shm_size = Memory(settings.shm_bytes.unwrap_or(0));
        self.log =
            settings.log.as_ref().map(|log| Log { driver: log.driver.clone(), options: log.options.clone() });
        self.dns = Dns {
            servers: settings.dns.servers.iter().map(ToString::to_string).collect(),
            search: settings.dns.search.clone(),
            options: settings.dns.options.clone(),
        };
        let hosts = settings.extra_hosts.iter();
        self.extra_hosts = hosts.map(|(name, address)| (name.clone(), address.to_string())).collect();
    }
}

fn parse_ulimits(
    wire: &BTreeMap<String, Ulimit>,
    at: &FieldPath,
) -> Result<BTreeMap<UlimitName, service::Ulimit>, Rejection> {
    let mut parsed = BTreeMap::new();
    for (name, limit) in wire {
        let Some((_, known)) = UlimitName::ALL.iter().find(|(word, _)| word == name) else {
            let words: Vec<_> = UlimitName::ALL.iter().map(|(word, _)| *word).collect();
            let problem = format!("there is no limit `{}`", name.escape_debug());
            return Err(Rejection::invalid(at.clone(), problem, format!("one of {}", words.join(", "))));
        };
        let at = at.field(name);
        let amount = |field: &str, value: i64| match u64::try_from(value) {
            Ok(value) => Ok(Some(value)),
            Err(_) if value == -1 => Ok(None),
            Err(_) => Err(invalid(&at, field, format!("{value} is no limit"), "at least 0, or -1 for none")),
        };
        let limit = service::Ulimit { soft: amount("soft", limit.soft)?, hard: amount("hard", limit.hard)? };
        if limit.soft.unwrap_or(u64::MAX) > limit.hard.unwrap_or(u64::MAX) {
            return Err(invalid(&at, "soft", "above `hard`", "at most `hard`"));
        }
        parsed.insert(*known, limit);
    }
    Ok(parsed)
}

impl Log {
    fn parse(&self, at: &FieldPath) -> Result<LogSettings, Rejection> {
        if !DRIVERS.contains(&self.driver.as_str()) {
            let problem = format!("there is no log driver `{}`", self.driver.escape_debug());
            return Err(invalid(at, "driver", problem, format!("one of {}", DRIVERS.join(", "))));
        }
        let unfit = |text: &str| text.len() > 1024 || text.chars().any(char::is_control);
        if let Some((key, _)) =
            self.options.iter().find(|(key, value)| key.trim().is_empty() || unfit(key) || unfit(value))
        {
            let problem = format!("the option `{}` is not fit", key.escape_debug());
            return Err(invalid(
                at,
                "options",
                problem,
                "at most 1024 characters without control characters",
            ));
        }
        Ok(LogSettings { driver: self.driver.clone(), options: self.options.clone() })
    }
}

impl Dns {
    fn parse(&self, at: &FieldPath) -> Result<settings::Dns, Rejection> {
        let lists = [("servers", &self.servers), ("search", &self.search), ("options", &self.options)];
        if let Some((field, _)) = lists.into_iter().find(|(_, list)| list.len() > MOST) {
            return Err(invalid(at, field, "too many", format!("at most {MOST}")));
        }
        let servers = each(&self.servers, &at.field("servers"), |server, at| {
            parse_at(server, at, "an IP address, as 10.0.0.2")
        })?;
        let search = each(&self.search, &at.field("search"), |domain, at| {
            if is_host_name(domain) || domain == "." {
                return Ok(domain.clone());
            }
            let problem = format!("`{}` is no domain", domain.escape_debug());
            Err(Rejection::invalid(at.clone(), problem, "a domain, as svc.internal"))
        })?;
        let options = each(&self.options, &at.field("options"), |option, at| {
            let fine = (1..=256).contains(&option.len()) && option.bytes().all(|b| b.is_ascii_graphic());
            if fine {
                return Ok(option.clone());
            }
            let problem = format!("`{}` is no option", option.escape_debug());
            Err(Rejection::invalid(at.clone(), problem, "an option of resolv.conf, as ndots:2"))
        })?;
        Ok(settings::Dns { servers, search, options })
    }
}

fn is_host_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..=253).contains(&bytes.len())
        && !name.starts_with(['-', '.'])
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}
