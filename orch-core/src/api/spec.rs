//! A service's spec on the wire, and its way into the domain: parsed, never half valid.

mod parse;
mod render;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::word::words;
use super::{Nanos, Resources, is_false};
use crate::{deployment, service};

/// The highest replica count that a spec may ask for.
pub const MAX_REPLICAS: u32 = 10_000;

/// What a user wants of a service. What is left out has its documented default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// A DNS label, unique among the living services of a namespace.
    pub name: String,
    /// `[registry/]name[:tag][@sha256:digest]`.
    pub image: String,
    /// What the image's name says; set by the server, ignored in a request.
    pub image_metadata: ImageMetadata,
    /// A registry credential. Not available in this release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secret: Option<String>,
    /// A slot has one owner: replaced stop-first, left for an operator when its node is lost.
    #[serde(skip_serializing_if = "is_false")]
    pub stateful: bool,
    /// How many tasks, at most [`MAX_REPLICAS`].
    pub replicas: u32,
    /// Replaces the image's entry point.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Working directory, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Literal values; secrets go by `secret_refs`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Secrets, by reference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_refs: Vec<SecretRef>,
    /// Ports the container listens on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// What is reserved, and what may be used at most.
    pub resource_requirements: ResourceRequirements,
    /// What the container may do on its node.
    pub security_context: SecurityContext,
    /// Not available in this release, unless it is off.
    pub autoscaling: Autoscaling,
    /// How the agent tells whether a task serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// What the agent does when a container exits.
    pub restart_policy: RestartPolicy,
    /// Labels that a node must, or must not, have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<Constraint>,
    /// How outside traffic names the service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Not available in this release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_claims: Vec<VolumeClaim>,
    /// The user's own labels: on the service and on its containers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops a container, by name (`SIGTERM`); left out: the image's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Between that signal and the kill; 0: 10 s.
    #[serde(skip_serializing_if = "Nanos::is_unset")]
    pub stop_grace: Nanos,
    /// Between leaving discovery and that signal, at most one hour; left out: 2 s for a service with ports, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_delay: Option<Nanos>,
    /// The engine's init reaps zombies as process 1.
    #[serde(skip_serializing_if = "is_false")]
    pub init: bool,
    /// How one version replaces another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// What an image's name says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageMetadata {
    /// As the spec names it.
    pub requested_image: String,
    /// `sha256:…`, if it is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Host.
    pub registry: String,
    /// Repository.
    pub name: String,
    /// Tag, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Named by digest.
    #[serde(skip_serializing_if = "is_false")]
    pub pinned: bool,
}

/// One secret that a task wants: a variable, or a file if `file` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecretRef {
    /// The secret, within the service's namespace.
    pub name: String,
    /// One key of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The variable; left out: `key`, else `name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A read-only file at this absolute path, on memory only. Not together with `env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A port that the container listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// Reserved and allowed. What is left out follows from the other, or is 100 millicores and 128 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// What the scheduler reserves.
    pub requests: Resources,
    /// What the engine lets it use at most.
    pub limits: Resources,
}

/// User, capabilities, host access.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityContext {
    /// `uid`, `uid:gid` or names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The root file system is read-only.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_root_filesystem: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Empty: `NET_RAW`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub host_network: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "is_false")]
    pub host_pid: bool,
    /// By policy only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_path_mounts: Vec<HostPathMount>,
}

/// A path of the node inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostPathMount {
    /// Absolute, without `..`.
    pub host_path: String,
    /// Absolute, without `..`.
    pub container_path: String,
    /// Mounted read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// Autoscaling, known so that a spec which leaves it off is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Autoscaling {
    /// Must be off in this release.
    #[serde(skip_serializing_if = "is_false")]
    pub enabled: bool,
    /// Least replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<u32>,
    /// Most replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<u32>,
    /// Percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_cpu_utilization: Option<u32>,
    /// Between changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Nanos>,
    /// Looked back over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilization_window: Option<Nanos>,
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

/// What the agent does when a container exits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// After which exits.
    pub condition: RestartCondition,
    /// Attempts in a row, first start included; 0: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_attempts: u32,
    /// The wait before attempt after attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// Exponential back-off; 0 stands for the default of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// Before the second restart in a row; 0: 1 s.
    pub initial: Nanos,
    /// The longest wait; 0: 60 s.
    pub max: Nanos,
    /// Running this long forgives what was before; 0: 10 s.
    pub reset_after: Nanos,
}

/// A label rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Label key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// Label value.
    pub value: String,
}

/// One way in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A volume that a task mounts. Not available in this release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeClaim {
    /// The claim's name.
    pub claim: String,
    /// Absolute.
    pub target: String,
    /// Mounted read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// How one version replaces another; what is left out has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// How many replicas may be missing because of a rollout or drain; left out: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<u32>,
    /// How many tasks there may be above the replica count; left out: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<u32>,
    /// How long a task without a health check must run to count as healthy; left out: 5 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<Nanos>,
    /// How long the whole may take; left out: 10 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Nanos>,
    /// What a failure does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

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
    /// Of an HTTP probe.
    Scheme is service::Scheme {
        /// Plain.
        Http = "http",
        /// TLS, certificate not verified.
        Https = "https",
    }
    /// How a label is compared.
    Operator is service::Operator {
        /// The label is there and has the value.
        Equals = "equals",
        /// The label has another value, or is absent.
        NotEquals = "not_equals",
    }
    /// What happens when a rollout fails.
    OnFailure is deployment::OnFailure {
        /// Go back to the version before.
        Rollback = "rollback",
        /// Stay, and wait for a person.
        Pause = "pause",
    }
}

/// After which exits another attempt is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// Not said: always.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// After any.
    Always,
    /// After an exit other than 0.
    #[serde(alias = "on-failure")]
    OnFailure,
    /// Never.
    Never,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}
