//! Admission: what the server's policy refuses of a spec. Pure, and all of it at once, so that a spec is mended in one go.

use crate::command::FieldPath;
use crate::command::rejection::{Rejection, Violation};
use crate::control_plane::ClusterPolicy;
use crate::name::Namespace;
use crate::service::ServiceSpec;

/// Where engines listen. Who reaches such a socket owns the node, so neither it nor a folder that holds it can be mounted,
/// whatever the policy says.
pub const ENGINE_SOCKETS: [&str; 5] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
];

/// Lets a spec pass, or says all that the policy refuses of it.
///
/// `operation` is `create`, `update`, `rollout` or `scale`, as the answer names it.
///
/// # Errors
/// [`Rejection::Admission`] with every rule that is broken.
pub fn admit(
    spec: &ServiceSpec,
    policy: &ClusterPolicy,
    operation: &'static str,
    namespace: &Namespace,
) -> Result<(), Rejection> {
    let violations = violations(spec, policy);
    if violations.is_empty() {
        Ok(())
    } else {
        Err(Rejection::Admission { operation, namespace: namespace.clone(), violations })
    }
}

/// Every rule of the policy that the spec breaks, in the order of its fields.
#[must_use]
pub fn violations(spec: &ServiceSpec, policy: &ClusterPolicy) -> Vec<Violation> {
    let security = &spec.template.security;
    let at = FieldPath::new("spec").field("security_context");
    let mut found = Vec::new();
    let mut refuse = |field, rule, message: String| found.push(Violation { field, rule, message });

    if security.privileged && !policy.allow_privileged {
        let message = "privileged containers are not allowed".to_owned();
        refuse(at.field("privileged"), "security.privileged.denied", message);
    }
    if security.host_network && !policy.allow_host_network {
        let message = "the node's network is not allowed".to_owned();
        refuse(at.field("host_network"), "security.host_network.denied", message);
    }
    if security.host_pid && !policy.allow_host_pid {
        let message = "the node's process namespace is not allowed".to_owned();
        refuse(at.field("host_pid"), "security.host_pid.denied", message);
    }
    for (i, capability) in security.cap_add.iter().enumerate() {
        if !policy.allowed_capabilities.contains(capability) {
            let message = format!("the capability {capability} is not allowed");
            refuse(at.field("cap_add").index(i), "security.capability.denied", message);
        }
    }
    for (i, mount) in security.host_mounts.iter().enumerate() {
        let path = &mount.host_path;
        let message = if ENGINE_SOCKETS.iter().any(|socket| is_within(socket, path)) {
            format!(
                "the host path `{path}` is or holds the container engine's socket, which is never mounted"
            )
        } else if !policy.allowed_host_path_prefixes.iter().any(|prefix| is_within(path, prefix)) {
            format!("the host path `{path}` is not below an allowed one")
        } else {
            continue;
        };
        let field = at.field("host_path_mounts").index(i).field("host_path");
        refuse(field, "security.host_path.denied", message);
    }
    found
}

/// Whether `path` is `folder` or lies below it, by whole components: `/data` holds `/data/x`, not `/database`.
fn is_within(path: &str, folder: &str) -> bool {
    let mut path = components(path);
    components(folder).all(|component| path.next() == Some(component))
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty() && *component != ".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::HostMount;
    use crate::testing::web_spec;

    fn mounting(path: &str) -> ServiceSpec {
        let mut spec = web_spec("web", 1);
        spec.template.security.host_mounts.push(HostMount {
            host_path: path.to_owned(),
            container_path: "/mnt".to_owned(),
            read_only: true,
        });
        spec
    }

    #[test]
    fn a_plain_spec_passes_and_a_greedy_one_is_answered_with_all_it_asks_too_much() {
        let policy = ClusterPolicy::default();
        assert_eq!(violations(&web_spec("web", 1), &policy), []);

        let mut spec = mounting("/etc");
        spec.template.security.privileged = true;
        spec.template.security.host_network = true;
        spec.template.security.host_pid = true;
        spec.template.security.cap_add.insert("cap_net_admin".parse().unwrap());
        let found = violations(&spec, &policy);
        let rules: Vec<_> = found.iter().map(|violation| violation.rule).collect();
        assert_eq!(
            rules,
            [
                "security.privileged.denied",
                "security.host_network.denied",
                "security.host_pid.denied",
                "security.capability.denied",
                "security.host_path.denied",
            ]
        );
        assert_eq!(found[4].field.as_str(), "spec.security_context.host_path_mounts[0].host_path");
    }

    #[test]
    fn what_the_policy_allows_passes() {
        let mut policy = ClusterPolicy {
            allow_privileged: true,
            allow_host_network: true,
            allow_host_pid: true,
            ..ClusterPolicy::default()
        };
        policy.allowed_capabilities.insert("NET_ADMIN".parse().unwrap());
        policy.allowed_host_path_prefixes.insert("/data/".to_owned());
        let mut spec = mounting("/data/web");
        spec.template.security.privileged = true;
        spec.template.security.host_network = true;
        spec.template.security.host_pid = true;
        spec.template.security.cap_add.insert("NET_ADMIN".parse().unwrap());
        assert_eq!(violations(&spec, &policy), []);
        assert_eq!(violations(&mounting("/data"), &policy), []);
        assert_eq!(violations(&mounting("/database"), &policy).len(), 1);
    }

    #[test]
    fn no_policy_opens_the_way_to_the_engines_socket() {
        let mut policy = ClusterPolicy::default();
        policy.allowed_host_path_prefixes.insert("/".to_owned());
        for path in
            ["/", "//", "/run", "/run/./", "/var", "/var/run", "/var/run/docker.sock", "/run/docker.sock"]
        {
            let found = violations(&mounting(path), &policy);
            assert!(found.len() == 1 && found[0].message.contains("engine"), "{path}: {found:?}");
        }
        for path in ["/srv", "/run/other", "/var/lib"] {
            assert_eq!(violations(&mounting(path), &policy), [], "{path}");
        }
    }
}
