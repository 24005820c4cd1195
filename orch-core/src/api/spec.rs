//! A service's spec on the wire, and its way into the domain: parsed, never half valid.

mod health;
mod lifecycle;
mod network;
mod parse;
mod placement;
mod render;
mod resources;
mod secrets;
mod security;
mod settings;
mod storage;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use health::{HealthCheck, ProbeKind, Scheme};
pub use lifecycle::{Backoff, OnDisconnect, OnFailure, RestartCondition, RestartPolicy, Rollout};
pub use network::{Port, Protocol, Route};
pub use placement::{Constraint, Operator, Strategy};
pub use resources::ResourceRequirements;
pub use secrets::SecretRef;
pub use security::{HostPathMount, SecurityContext};
pub use settings::{Dns, Log, Ulimit};
pub use storage::{Mount, MountKind};

use super::{Memory, Nanos, is_false};

/// The highest replica count that a spec may ask for.
pub const MAX_REPLICAS: u32 = 10_000;

/// What a user wants of a service. What is left out has its documented default.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
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
    /// Volumes and folders on memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// The host name of each container; left out: service and slot, as `web-3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How many processes and threads a container may have; 0: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub pids_limit: u32,
    /// Limits of each process, by name (`nofile`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of `/dev/shm`; 0: the engine's default.
    #[serde(skip_serializing_if = "is_no_memory")]
    pub shm_size: Memory,
    /// Where output goes; left out: `json-file`, five files of 20 MB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// How names are resolved.
    #[serde(skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// Names with their addresses, or `host-gateway` for the node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_hosts: BTreeMap<String, String>,
    /// Not available in this release, unless it is off.
    pub autoscaling: Autoscaling,
    /// How the agent tells whether a task serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// What the agent does when a container exits.
    pub restart_policy: RestartPolicy,
    /// Rules over a node's labels and facts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub placement_constraints: Vec<Constraint>,
    /// How tasks are laid out over the nodes that fulfil them.
    #[serde(skip_serializing_if = "Strategy::is_default")]
    pub placement_strategy: Strategy,
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
    /// What becomes of a task while its node is not heard; left out: it is replaced at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<OnDisconnect>,
    /// The engine's init reaps zombies as process 1.
    #[serde(skip_serializing_if = "is_false")]
    pub init: bool,
    /// How one version replaces another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
}

/// What an image's name says.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

/// Autoscaling, known so that a spec which leaves it off is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
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

/// A volume that a task mounts. Not available in this release.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct VolumeClaim {
    /// The claim's name.
    pub claim: String,
    /// Absolute.
    pub target: String,
    /// Mounted read-only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
const fn is_no_memory(size: &Memory) -> bool {
    size.0 == 0
}
