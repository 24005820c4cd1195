//! [`AgentConfig`]: what an agent is and may; and [`NodePolicy`], what it refuses to run whoever asks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::images::ImageCleanup;
use orch_core::name::NodeName;
use orch_core::node::Resources;
use orch_core::secret::Secret;
use orch_core::service::{Capability, SecurityContext};

/// What an agent is.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The node's name, unique in the cluster.
    pub name: NodeName,
    /// Where the node's published ports are reached, with or without a scheme.
    pub advertise_address: String,
    /// What placement constraints look at.
    pub labels: BTreeMap<String, String>,
    /// All that the machine has.
    pub capacity: Resources,
    /// What tasks may use.
    pub allocatable: Resources,
    /// The registration token. Needed for the first registration only, where there is a node key.
    pub token: Option<Secret<String>>,
    /// Version of the agent, as the control plane is told.
    pub version: String,
    /// What this node refuses to run.
    pub policy: NodePolicy,
    /// Containers that are created and started at the same time; default: four a core, 8 to 16. A start is more waiting than
    /// work, most of all under a small CPU limit (`orch-bench deploy --start-concurrency`, docs/benchmarks.md).
    pub start_concurrency: usize,
    /// Dead containers of a task that stay for their logs until the task is removed: the newest; at least 1.
    pub keep_dead: usize,
    /// Images that are fetched at the same time.
    pub pull_concurrency: usize,
    /// When images that orch pulled and nobody needs are removed; `None`: never.
    pub image_cleanup: Option<ImageCleanup>,
    /// Heartbeats are sent at least so often; the control plane may ask for more.
    pub heartbeat_interval: Option<Duration>,
    /// How long the control plane may let a poll wait.
    pub poll_wait: Duration,
    /// All containers are listed so often, whatever events said: finds what events missed.
    pub sweep_interval: Duration,
    /// Where health probes go: the address that published ports listen on.
    pub probe_address: IpAddr,
    /// After this long without an answer a call to the control plane is given up (a poll: this beyond its wait).
    pub call_timeout: Duration,
    /// After this long without an answer a call to the container runtime is given up (a stop: this beyond its grace; a
    /// pull never). Runtimes have limits of their own; this one holds where theirs do not.
    pub runtime_timeout: Duration,
    /// How long a stopping agent tries to say its last reports and goodbye.
    pub shutdown_timeout: Duration,
}

impl AgentConfig {
    /// A node of this name on this machine, with the machine's cores, and defaults for the rest.
    #[must_use]
    pub fn new(name: NodeName, advertise_address: impl Into<String>, capacity: Resources) -> Self {
        let cores = usize::try_from(capacity.cpu_millis / 1000).unwrap_or(usize::MAX);
        Self {
            name,
            advertise_address: advertise_address.into(),
            labels: BTreeMap::new(),
            capacity,
            allocatable: capacity,
            token: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy: NodePolicy::default(),
            start_concurrency: cores.saturating_mul(4).clamp(8, 16),
            keep_dead: 1,
            pull_concurrency: 3,
            image_cleanup: Some(ImageCleanup::default()),
            heartbeat_interval: None,
            poll_wait: Duration::from_secs(55),
            sweep_interval: Duration::from_secs(60),
            probe_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            call_timeout: Duration::from_secs(15),
            runtime_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// What this node lets tasks ask for. The control plane has a policy of its own; this one holds whatever that one says.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodePolicy {
    /// All privileges.
    pub allow_privileged: bool,
    /// The node's network.
    pub allow_host_network: bool,
    /// The node's processes.
    pub allow_host_pid: bool,
    /// Capabilities that may be added.
    pub allowed_capabilities: BTreeSet<Capability>,
    /// Host paths may be mounted below these.
    pub allowed_host_path_prefixes: BTreeSet<String>,
    /// The engine's socket, besides the usual ones: mounting it, or a folder that holds it, is never allowed.
    pub engine_sockets: BTreeSet<String>,
}

/// Whoever can talk to one of these owns the node.
const ENGINE_SOCKETS: [&str; 6] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/var/run/podman/podman.sock",
];

impl NodePolicy {
    /// Why a task may not run here; `None` if it may.
    #[must_use]
    pub fn refuses(&self, wanted: &SecurityContext) -> Option<String> {
        if wanted.privileged && !self.allow_privileged {
            return Some("this node does not allow privileged containers".to_owned());
        }
        if wanted.host_network && !self.allow_host_network {
            return Some("this node does not allow the host's network".to_owned());
        }
        if wanted.host_pid && !self.allow_host_pid {
            return Some("this node does not allow the host's processes".to_owned());
        }
        if let Some(capability) = wanted.cap_add.iter().find(|c| !self.allowed_capabilities.contains(c)) {
            return Some(format!("this node does not allow the capability {capability}"));
        }
        wanted.host_mounts.iter().find_map(|mount| self.refuses_path(&mount.host_path))
    }

    fn refuses_path(&self, path: &str) -> Option<String> {
        let plain = path.starts_with('/') && !path.split('/').any(|part| part == "..");
        if !plain {
            return Some(format!("{path} is no absolute path without `..`"));
        }
        let ours = self.engine_sockets.iter().map(String::as_str);
        if ENGINE_SOCKETS.into_iter().chain(ours).any(|socket| is_below(socket, path)) {
            return Some(format!("{path} is, or holds, the container engine's socket"));
        }
        let allowed = self.allowed_host_path_prefixes.iter().any(|prefix| is_below(path, prefix));
        (!allowed).then(|| format!("this node does not allow mounting {path}"))
    }
}

/// Whether `path` is `prefix` or below it, part by part.
fn is_below(path: &str, prefix: &str) -> bool {
    let mut path = path.split('/').filter(|part| !matches!(*part, "" | "."));
    prefix.split('/').filter(|part| !matches!(*part, "" | ".")).all(|part| path.next() == Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::service::HostMount;

    fn mount(path: &str) -> SecurityContext {
        let mount = HostMount { host_path: path.into(), container_path: "/x".into(), read_only: true };
        SecurityContext { host_mounts: vec![mount], ..SecurityContext::default() }
    }

    #[test]
    fn nothing_of_the_host_is_handed_out_unless_allowed() {
        let policy = NodePolicy::default();
        assert_eq!(policy.refuses(&SecurityContext::default()), None);
        for wanted in [
            SecurityContext { privileged: true, ..SecurityContext::default() },
            SecurityContext { host_network: true, ..SecurityContext::default() },
            SecurityContext { host_pid: true, ..SecurityContext::default() },
            SecurityContext { cap_add: ["NET_ADMIN".parse().unwrap()].into(), ..SecurityContext::default() },
            mount("/srv/data"),
        ] {
            assert!(policy.refuses(&wanted).is_some(), "{wanted:?}");
        }
    }

    #[test]
    fn paths_are_compared_part_by_part_and_the_engines_socket_is_never_among_them() {
        let allowed = ["/srv".to_owned(), "/".to_owned()];
        let policy = NodePolicy { allowed_host_path_prefixes: allowed.into(), ..NodePolicy::default() };
        assert_eq!(policy.refuses(&mount("/srv/data")), None);
        for path in ["/", "/var/run", "//run/./docker.sock", "/run/docker.sock", "/srv/../run", "srv"] {
            assert!(policy.refuses(&mount(path)).is_some(), "{path}");
        }
        let narrow =
            NodePolicy { allowed_host_path_prefixes: ["/srv".to_owned()].into(), ..NodePolicy::default() };
        assert_eq!(narrow.refuses(&mount("/srv")), None);
        assert!(narrow.refuses(&mount("/srv2")).is_some());
    }
}
