//! From the wire's spec to the domain's: each field by its rule, with its path where it breaks one.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use super::{
    Backoff, Constraint, HealthCheck, HostPathMount, MAX_REPLICAS, Port, ProbeKind, ResourceRequirements,
    RestartCondition, RestartPolicy, Rollout, Route, Scheme, SecretRef, SecurityContext, ServiceSpec,
};
use crate::api::{Cpu, Memory, Resources, parse_at};
use crate::command::{FieldPath, Rejection};
use crate::deployment::RolloutPolicy;
use crate::secret::{self, SecretDelivery};
use crate::service::{self, Probe, Protocol, Publish, StopPolicy, TaskTemplate};

/// What a task has where its spec says nothing: 100 millicores, 128 MiB.
const DEFAULT_RESOURCES: Resources = Resources { cpu: Cpu(100), memory: Memory(128 << 20) };
/// A stop signal that takes longer than an hour is a mistake.
const MAX_GRACE: Duration = Duration::from_secs(3600);

impl ServiceSpec {
    /// The domain's spec. `at` is where this one stands in the request (`spec`).
    ///
    /// # Errors
    /// [`Rejection::Invalid`] with the path of the first field that breaks its rule.
    pub fn parse(&self, at: &FieldPath) -> Result<service::ServiceSpec, Rejection> {
        self.refuse_what_comes_later(at)?;
        if self.replicas > MAX_REPLICAS {
            return Err(invalid(at, "replicas", "too many", format!("at most {MAX_REPLICAS}")));
        }
        let ports = parse_ports(&self.ports, &at.field("ports"))?;
        let health = match &self.healthcheck {
            None => None,
            Some(check) => check.parse(&ports, &at.field("healthcheck"))?,
        };
        let routes = each(&self.routes, &at.field("routes"), |route, at| route.parse(&ports, at))?;
        let (requests, limits) = self.resource_requirements.parse(&at.field("resource_requirements"))?;
        let labels = parse_labels(&self.labels, &at.field("labels"))?;
        Ok(service::ServiceSpec {
            name: parse_at(&self.name, &at.field("name"), "a DNS label")?,
            replicas: self.replicas,
            stateful: self.stateful,
            template: TaskTemplate {
                image: parse_at(&self.image, &at.field("image"), "an image reference")?,
                entrypoint: arguments(&self.entrypoint, &at.field("entrypoint"))?,
                command: arguments(&self.command, &at.field("command"))?,
                workdir: optional(self.workdir.as_deref(), |path| absolute(path, &at.field("workdir")))?,
                env: self.parse_env(&at.field("env"))?,
                secrets: self.parse_secrets(&at.field("secret_refs"))?,
                ports,
                requests: requests.into(),
                limits: limits.into(),
                security: self.security_context.parse(&at.field("security_context"))?,
                health,
                restart: self.restart_policy.parse(&at.field("restart_policy"))?,
                stop: self.parse_stop(at)?,
                labels: labels.clone(),
                init: self.init,
            },
            constraints: each(
                &self.placement_constraints,
                &at.field("placement_constraints"),
                Constraint::parse,
            )?,
            rollout: self.rollout.clone().unwrap_or_default().parse(&at.field("rollout"))?,
            routes,
            labels,
        })
    }

    fn refuse_what_comes_later(&self, at: &FieldPath) -> Result<(), Rejection> {
        let later = [
            ("autoscaling", self.autoscaling.enabled),
            ("volume_claims", !self.volume_claims.is_empty()),
            ("image_pull_secret", self.image_pull_secret.as_deref().is_some_and(|name| !name.is_empty())),
        ];
        match later.into_iter().find(|(_, asked)| *asked) {
            None => Ok(()),
            Some((field, _)) => Err(invalid(at, field, "not available in this release", "to be left out")),
        }
    }

    fn parse_env(
        &self,
        at: &FieldPath,
    ) -> Result<std::collections::BTreeMap<crate::name::EnvName, String>, Rejection> {
        let parse = |(name, value): (&String, &String)| {
            if value.contains('\0') {
                return Err(invalid(at, name, "the value holds a NUL", "text without NUL"));
            }
            Ok((parse_at(name, at, "a name for an environment variable")?, value.clone()))
        };
        self.env.iter().map(parse).collect()
    }

    fn parse_secrets(&self, at: &FieldPath) -> Result<Vec<secret::SecretRef>, Rejection> {
        let secrets = each(&self.secret_refs, at, SecretRef::parse)?;
        let mut targets = BTreeSet::new();
        for (index, secret) in secrets.iter().enumerate() {
            let literal =
                matches!(&secret.delivery, SecretDelivery::Env(name) if self.env.contains_key(name.as_str()));
            if literal || !targets.insert(&secret.delivery) {
                let problem = "its variable or file is given twice";
                return Err(Rejection::invalid(at.index(index), problem, "a variable or file of its own"));
            }
        }
        Ok(secrets)
    }

    fn parse_stop(&self, at: &FieldPath) -> Result<StopPolicy, Rejection> {
        let grace = self.stop_grace.or(StopPolicy::default().grace);
        if grace > MAX_GRACE {
            return Err(invalid(at, "stop_grace", "too long", "at most one hour, in nanoseconds"));
        }
        let usual = if self.ports.is_empty() { Duration::ZERO } else { service::DEFAULT_DRAIN_DELAY };
        let delay = self.drain_delay.map_or(usual, |delay| delay.or(Duration::ZERO));
        if delay > MAX_GRACE {
            return Err(invalid(at, "drain_delay", "too long", "at most one hour, in nanoseconds"));
        }
        let signal = optional(self.stop_signal.as_deref(), |signal| {
            let fine = (4..=12).contains(&signal.len())
                && signal.starts_with("SIG")
                && signal.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"+-".contains(&b));
            if fine {
                Ok(signal.to_owned())
            } else {
                Err(invalid(at, "stop_signal", "not a signal", "a name like SIGTERM"))
            }
        })?;
        Ok(StopPolicy { signal, grace, delay })
    }
}

impl SecretRef {
    fn parse(&self, at: &FieldPath) -> Result<secret::SecretRef, Rejection> {
        let blank_is_unset = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let key = blank_is_unset(&self.key);
        let delivery = match (blank_is_unset(&self.env), blank_is_unset(&self.file)) {
            (Some(_), Some(_)) => {
                return Err(invalid(at, "file", "given together with `env`", "one of the two"));
            }
            (None, Some(path)) => SecretDelivery::File(absolute(&path, &at.field("file"))?),
            (env, None) => {
                let name = env.or_else(|| key.clone()).unwrap_or_else(|| self.name.clone());
                let expected = "the name of a variable in `env`, or a path in `file`";
                SecretDelivery::Env(parse_at(&name, &at.field("env"), expected)?)
            }
        };
        Ok(secret::SecretRef {
            name: parse_at(&self.name, &at.field("name"), "a secret's name")?,
            key,
            delivery,
        })
    }
}

fn parse_ports(ports: &[Port], at: &FieldPath) -> Result<Vec<service::PortSpec>, Rejection> {
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
            return Err(invalid(&at.index(index), "container_port", "given twice", "each port once"));
        }
        if let Publish::Fixed(fixed) = port.publish
            && !outside.insert((port.protocol, fixed))
        {
            return Err(invalid(&at.index(index), "published_port", "given twice", "each port once"));
        }
    }
    Ok(parsed)
}

impl ResourceRequirements {
    /// Requests and limits, filled in per field: a limit left out follows a request above the default, a request left out
    /// stays below a limit under it.
    fn parse(&self, at: &FieldPath) -> Result<(Resources, Resources), Rejection> {
        let fill = |request: u64, limit: u64, default: u64| match (request, limit) {
            (0, 0) => (default, default),
            (0, limit) => (default.min(limit), limit),
            (request, 0) => (request, default.max(request)),
            given => given,
        };
        let (asked, most) = (self.requests, self.limits);
        let cpu = fill(asked.cpu.0, most.cpu.0, DEFAULT_RESOURCES.cpu.0);
        let memory = fill(asked.memory.0, most.memory.0, DEFAULT_RESOURCES.memory.0);
        for (field, (request, limit)) in [("cpu", cpu), ("memory", memory)] {
            if request > limit {
                let problem = format!("{request} is above its limit of {limit}");
                return Err(invalid(&at.field("requests"), field, problem, "at most the limit"));
            }
            if i64::try_from(limit).is_err() {
                return Err(invalid(&at.field("limits"), field, "too large", "less than 2^63"));
            }
        }
        let pair = |cpu, memory| Resources { cpu: Cpu(cpu), memory: Memory(memory) };
        Ok((pair(cpu.0, memory.0), pair(cpu.1, memory.1)))
    }
}

impl SecurityContext {
    fn parse(&self, at: &FieldPath) -> Result<service::SecurityContext, Rejection> {
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
    fn parse(&self, at: &FieldPath) -> Result<service::HostMount, Rejection> {
        Ok(service::HostMount {
            host_path: absolute(&self.host_path, &at.field("host_path"))?,
            container_path: absolute(&self.container_path, &at.field("container_path"))?,
            read_only: self.read_only,
        })
    }
}

impl HealthCheck {
    fn parse(
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
        let tcp = |port: &&service::PortSpec| port.protocol == Protocol::Tcp;
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

impl RestartPolicy {
    fn parse(&self, at: &FieldPath) -> Result<service::RestartPolicy, Rejection> {
        Ok(service::RestartPolicy {
            condition: match self.condition {
                RestartCondition::Unset | RestartCondition::Always => service::RestartCondition::Always,
                RestartCondition::OnFailure => service::RestartCondition::OnFailure,
                RestartCondition::Never => service::RestartCondition::Never,
            },
            max_attempts: (self.max_attempts > 0).then_some(self.max_attempts),
            backoff: self.backoff.unwrap_or_default().parse(&at.field("backoff"))?,
        })
    }
}

impl Backoff {
    fn parse(self, at: &FieldPath) -> Result<service::Backoff, Rejection> {
        let default = service::Backoff::default();
        let backoff = service::Backoff {
            initial: self.initial.or(default.initial),
            max: self.max.or(default.max),
            reset_after: self.reset_after.or(default.reset_after),
        };
        if backoff.initial > backoff.max {
            return Err(invalid(at, "initial", "longer than `max`", "at most `max`"));
        }
        Ok(backoff)
    }
}

impl Constraint {
    fn parse(&self, at: &FieldPath) -> Result<service::Constraint, Rejection> {
        if self.key.trim().is_empty() {
            return Err(invalid(at, "key", "it is blank", "a label's key"));
        }
        Ok(service::Constraint {
            key: self.key.clone(),
            operator: self.operator.into(),
            value: self.value.clone(),
        })
    }
}

impl Route {
    fn parse(&self, ports: &[service::PortSpec], at: &FieldPath) -> Result<service::Route, Rejection> {
        let unfit =
            |text: &str| text.chars().any(|c| c.is_control() || c.is_whitespace() || "`\"".contains(c));
        if self.host.is_empty() || self.host.len() > 253 || unfit(&self.host) {
            return Err(invalid(at, "host", "not a host name", "a host name"));
        }
        if !self.path_prefix.starts_with('/') || unfit(&self.path_prefix) {
            return Err(invalid(at, "path_prefix", "not the path of a URL", "a path that begins with `/`"));
        }
        let serves = |port: &service::PortSpec| {
            port.protocol == Protocol::Tcp && port.container_port.get() == self.port
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

impl Rollout {
    fn parse(&self, at: &FieldPath) -> Result<RolloutPolicy, Rejection> {
        let default = RolloutPolicy::default();
        let policy = RolloutPolicy {
            max_unavailable: self.max_unavailable.unwrap_or(default.max_unavailable),
            max_surge: self.max_surge.unwrap_or(default.max_surge),
            min_healthy: self.min_healthy.map_or(default.min_healthy, |nanos| Duration::from_nanos(nanos.0)),
            deadline: self.deadline.map_or(default.deadline, |nanos| nanos.or(default.deadline)),
            on_failure: self.on_failure.map_or(default.on_failure, Into::into),
        };
        if policy.max_unavailable == 0 && policy.max_surge == 0 {
            let problem = "0 together with `max_unavailable` 0 leaves no room for a rollout";
            return Err(invalid(at, "max_surge", problem, "at least 1, or `max_unavailable` at least 1"));
        }
        if policy.min_healthy >= policy.deadline {
            return Err(invalid(at, "min_healthy", "not shorter than `deadline`", "shorter than `deadline`"));
        }
        Ok(policy)
    }
}

fn invalid(
    at: &FieldPath,
    field: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
) -> Rejection {
    Rejection::invalid(at.field(field), problem, expected)
}

fn each<W, D>(
    wire: &[W],
    at: &FieldPath,
    parse: impl Fn(&W, &FieldPath) -> Result<D, Rejection>,
) -> Result<Vec<D>, Rejection> {
    wire.iter().enumerate().map(|(index, entry)| parse(entry, &at.index(index))).collect()
}

/// Parses what is given and not empty.
fn optional<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

fn absolute(path: &str, at: &FieldPath) -> Result<String, Rejection> {
    let fine = path.starts_with('/')
        && path.len() <= 4096
        && path.split('/').all(|part| part != "..")
        && !path.chars().any(char::is_control);
    if fine {
        Ok(path.to_owned())
    } else {
        Err(Rejection::invalid(at.clone(), "not an absolute path", "an absolute path without `..`"))
    }
}

fn arguments(arguments: &[String], at: &FieldPath) -> Result<Vec<String>, Rejection> {
    each(arguments, at, |argument, at| {
        if argument.contains('\0') {
            return Err(Rejection::invalid(at.clone(), "it holds a NUL", "text without NUL"));
        }
        Ok(argument.clone())
    })
}

fn parse_labels(
    labels: &std::collections::BTreeMap<String, String>,
    at: &FieldPath,
) -> Result<std::collections::BTreeMap<String, String>, Rejection> {
    for (key, value) in labels {
        let unfit = |text: &str| text.len() > 1024 || text.chars().any(char::is_control);
        if key.trim().is_empty() || unfit(key) || unfit(value) {
            let expected = "a key that is not blank, and at most 1024 characters without control characters";
            return Err(Rejection::invalid(at.clone(), "a key or value is not fit", expected));
        }
        if key.starts_with("orch.") {
            return Err(Rejection::invalid(at.clone(), "`orch.` is kept for orch itself", "another prefix"));
        }
    }
    Ok(labels.clone())
}

#[cfg(test)]
mod tests;
