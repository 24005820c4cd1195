//! [`ClusterPolicy`]: what the server lets specs ask for, and the clocks of the cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::node::MassSilence;
use crate::service::Capability;

/// Safe by default.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// Containers may have all privileges.
    pub allow_privileged: bool,
    /// Containers may use the node's network.
    pub allow_host_network: bool,
    /// Containers may see the node's processes.
    pub allow_host_pid: bool,
    /// Capabilities that specs may add.
    pub allowed_capabilities: BTreeSet<Capability>,
    /// Host paths may be mounted below these; never the engine's socket.
    pub allowed_host_path_prefixes: BTreeSet<String>,
    /// Specs must state what they reserve.
    pub require_resource_requests: bool,
    /// Specs must state what they may use at most.
    pub require_resource_limits: bool,
    /// Images may come from these registries only (`docker.io`, `registry.example:5000`); none listed: from any.
    pub allowed_image_registries: BTreeSet<String>,
    /// Images must be named by digest.
    pub require_digest: bool,
    /// Images may be named by a tag alone, which may come to mean another image.
    pub allow_mutable_tags: bool,
    /// Images must not be named by the tag `latest`, or by none.
    pub deny_latest_tag: bool,
    /// Specs must have a health check.
    pub require_healthcheck: bool,
    /// Replicas that a service may have; 0: no limit of the policy's.
    pub max_replicas_per_service: u32,
    /// Fixed host ports that a service may publish; 0: no limit.
    pub max_public_ports_per_service: u32,
    /// Life of a node credential.
    pub credential_ttl: Duration,
    /// Time between heartbeats, before stretching.
    pub heartbeat_interval: Duration,
    /// Silence after which a node is offline.
    pub heartbeat_timeout: Duration,
    /// How long a node that said goodbye is waited for before its tasks are replaced.
    pub shutdown_grace: Duration,
    /// How many nodes may fall silent at once before that is taken for our own trouble, and nothing is replaced.
    pub mass_silence: MassSilence,
    /// A dead credential that is used anew revokes the node instead of resetting it.
    pub revoke_on_reuse: bool,
    /// Agents without a node key may register with a token.
    pub allow_keyless_nodes: bool,
    /// The server's settings list the users: only they count, and the state's users are not to be changed.
    pub users_are_listed: bool,
    /// Events are kept so long.
    pub keep_events: Duration,
    /// Audit records are kept so long.
    pub keep_audit: Duration,
}

impl Default for ClusterPolicy {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            allow_privileged: false,
            allow_host_network: false,
            allow_host_pid: false,
            allowed_capabilities: BTreeSet::new(),
            allowed_host_path_prefixes: BTreeSet::new(),
            require_resource_requests: false,
            require_resource_limits: false,
            allowed_image_registries: BTreeSet::new(),
            require_digest: false,
            allow_mutable_tags: true,
            deny_latest_tag: false,
            require_healthcheck: false,
            max_replicas_per_service: 0,
            max_public_ports_per_service: 0,
            credential_ttl: crate::identity::credential::DEFAULT_TTL,
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(300),
            mass_silence: MassSilence::default(),
            revoke_on_reuse: false,
            allow_keyless_nodes: true,
            users_are_listed: false,
            keep_events: Duration::from_secs(30 * DAY),
            keep_audit: Duration::from_secs(90 * DAY),
        }
    }
}
