//! From the wire's spec to the domain's: each field by its rule, with its path where it breaks one.

use std::collections::BTreeSet;
use std::time::Duration;

use super::network::parse_ports;
use super::{Constraint, MAX_REPLICAS, Mount, SecretRef, ServiceSpec};
use crate::api::parse_at;
use crate::command::{FieldPath, Rejection};
use crate::secret::{self, SecretDelivery};
use crate::service::validation::check_spec_at;
use crate::service::{self, StopPolicy, TaskTemplate};

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
        let spec = service::ServiceSpec {
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
                mounts: each(&self.mounts, &at.field("mounts"), Mount::parse)?,
                settings: self.parse_settings(at)?,
                health,
                restart: self.restart_policy.parse(&at.field("restart_policy"))?,
                stop: self.parse_stop(at)?,
                on_disconnect: match self.on_disconnect {
                    Some(policy) => policy.parse(&at.field("on_disconnect"))?,
                    None => service::OnDisconnect::default(),
                },
                labels: labels.clone(),
                init: self.init,
            },
            constraints: each(
                &self.placement_constraints,
                &at.field("placement_constraints"),
                Constraint::parse,
            )?,
            strategy: self.placement_strategy.into(),
            rollout: self.rollout.clone().unwrap_or_default().parse(&at.field("rollout"))?,
            routes,
            labels,
            defaulted: self.resource_requirements.defaulted(),
        };
        check_spec_at(&spec, at)?;
        Ok(spec)
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

pub(super) fn invalid(
    at: &FieldPath,
    field: &str,
    problem: impl Into<String>,
    expected: impl Into<String>,
) -> Rejection {
    Rejection::invalid(at.field(field), problem, expected)
}

pub(super) fn each<W, D>(
    wire: &[W],
    at: &FieldPath,
    parse: impl Fn(&W, &FieldPath) -> Result<D, Rejection>,
) -> Result<Vec<D>, Rejection> {
    wire.iter().enumerate().map(|(index, entry)| parse(entry, &at.index(index))).collect()
}

/// Parses what is given and not empty.
pub(super) fn optional<T>(
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, Rejection>,
) -> Result<Option<T>, Rejection> {
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

pub(super) fn absolute(path: &str, at: &FieldPath) -> Result<String, Rejection> {
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

pub(super) fn arguments(arguments: &[String], at: &FieldPath) -> Result<Vec<String>, Rejection> {
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
