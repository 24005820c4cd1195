//! Admission: what the server's policy refuses of a spec. Pure, and all of it at once, so that a spec is mended in one go.

use crate::command::FieldPath;
use crate::command::rejection::{Rejection, Violation};
use crate::control_plane::ClusterPolicy;
use crate::name::Namespace;
use crate::service::{Defaulted, ImageRef, PortSpec, Publish, SecurityContext, ServiceSpec};

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
    let mut found = of_image(&spec.template.image, policy);
    found.extend(too_many_replicas(spec.replicas, policy, FieldPath::new("spec").field("replicas")));
    found.extend(of_ports(&spec.template.ports, policy));
    found.extend(of_resources(spec.defaulted, policy));
    found.extend(of_security(&spec.template.security, policy));
    if policy.require_healthcheck && spec.template.health.is_none() {
        let field = FieldPath::new("spec").field("healthcheck");
        found.push(violation(field, "healthcheck.required", "a health check is required"));
    }
    found
}

/// Lets a replica count pass, or says that it is too high.
///
/// # Errors
/// [`Rejection::Admission`].
pub fn admit_replicas(replicas: u32, policy: &ClusterPolicy, namespace: &Namespace) -> Result<(), Rejection> {
    match too_many_replicas(replicas, policy, FieldPath::new("replicas")) {
        None => Ok(()),
        Some(violation) => Err(Rejection::Admission {
            operation: "scale",
            namespace: namespace.clone(),
            violations: vec![violation],
        }),
    }
}

fn violation(field: FieldPath, rule: &'static str, message: impl Into<String>) -> Violation {
    Violation { field, rule, message: message.into() }
}

fn of_image(image: &ImageRef, policy: &ClusterPolicy) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut refuse = |rule, message: String| {
        found.push(violation(FieldPath::new("spec").field("image"), rule, message));
    };
    let (registry, allowed) = (image.registry(), &policy.allowed_image_registries);
    if !allowed.is_empty() && !allowed.contains(registry) {
        let known: Vec<_> = allowed.iter().map(String::as_str).collect();
        let message = format!("images of `{registry}` are not allowed, only of {}", known.join(", "));
        refuse("image.registry.denied", message);
    }
    if image.digest().is_some() {
        return found;
    }
    if policy.require_digest {
        refuse("image.digest.required", format!("`{image}` is not named by its digest"));
    }
    if !policy.allow_mutable_tags {
        let message = format!("`{image}` is named by a tag alone, which may come to mean another image");
        refuse("image.mutable_tag.denied", message);
    }
    if policy.deny_latest_tag && image.tag().is_none_or(|tag| tag == "latest") {
        refuse("image.latest.denied", format!("`{image}` is whatever is the latest; name a version"));
    }
    found
}

fn too_many_replicas(replicas: u32, policy: &ClusterPolicy, field: FieldPath) -> Option<Violation> {
    let most = policy.max_replicas_per_service;
    (most > 0 && replicas > most).then(|| {
        violation(field, "replicas.maximum", format!("{replicas} replicas are more than the {most} allowed"))
    })
}

fn of_ports(ports: &[PortSpec], policy: &ClusterPolicy) -> Option<Violation> {
    let most = policy.max_public_ports_per_service;
    let fixed = ports.iter().filter(|port| matches!(port.publish, Publish::Fixed(_))).count();
    (most > 0 && fixed > most as usize).then(|| {
        let message = format!("{fixed} fixed host ports are more than the {most} allowed");
        violation(FieldPath::new("spec").field("ports"), "ports.public.maximum", message)
    })
}

fn of_resources(defaulted: Defaulted, policy: &ClusterPolicy) -> Vec<Violation> {
    let rules = [
        ("requests", "resources.requests.required", policy.require_resource_requests && defaulted.requests),
        ("limits", "resources.limits.required", policy.require_resource_limits && defaulted.limits),
    ];
    let broken = rules.into_iter().filter(|(.., broken)| *broken).map(|(name, rule, _)| {
        let field = FieldPath::new("spec").field("resource_requirements").field(name);
        violation(field, rule, format!("the {name} of CPU and memory must be stated"))
    });
    broken.collect()
}

fn of_security(security: &SecurityContext, policy: &ClusterPolicy) -> Vec<Violation> {
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
    fn each_rule_of_the_contract_is_off_by_default_and_told_with_all_others_when_it_is_on() {
        let mut spec = web_spec("web", 3);
        spec.template.image = "shop/web".parse().unwrap();
        spec.defaulted = Defaulted { requests: true, limits: true };
        spec.template.health = None;
        for port in &mut spec.template.ports {
            port.publish = Publish::Fixed(8080.try_into().unwrap());
        }
        let mut second = spec.template.ports[0].clone();
        second.container_port = 8081.try_into().unwrap();
        spec.template.ports.push(second);
        assert_eq!(violations(&spec, &ClusterPolicy::default()), []);

        let policy = ClusterPolicy {
            require_resource_requests: true,
            require_resource_limits: true,
            allowed_image_registries: ["registry.example".to_owned()].into(),
            require_digest: true,
            allow_mutable_tags: false,
            deny_latest_tag: true,
            require_healthcheck: true,
            max_replicas_per_service: 2,
            max_public_ports_per_service: 1,
            ..ClusterPolicy::default()
        };
        let found = violations(&spec, &policy);
        let told: Vec<_> = found.iter().map(|found| (found.field.as_str(), found.rule)).collect();
        assert_eq!(
            told,
            [
                ("spec.image", "image.registry.denied"),
                ("spec.image", "image.digest.required"),
                ("spec.image", "image.mutable_tag.denied"),
                ("spec.image", "image.latest.denied"),
                ("spec.replicas", "replicas.maximum"),
                ("spec.ports", "ports.public.maximum"),
                ("spec.resource_requirements.requests", "resources.requests.required"),
                ("spec.resource_requirements.limits", "resources.limits.required"),
                ("spec.healthcheck", "healthcheck.required"),
            ]
        );
        assert!(admit_replicas(2, &policy, &Namespace::default_namespace()).is_ok());
        assert!(matches!(
            admit_replicas(3, &policy, &Namespace::default_namespace()),
            Err(Rejection::Admission { operation: "scale", violations, .. }) if violations.len() == 1
        ));
    }

    #[test]
    fn an_image_that_is_named_by_digest_is_neither_mutable_nor_the_latest() {
        let policy = ClusterPolicy {
            require_digest: true,
            allow_mutable_tags: false,
            deny_latest_tag: true,
            allowed_image_registries: ["docker.io".to_owned()].into(),
            ..ClusterPolicy::default()
        };
        let with = |image: &str| {
            let mut spec = web_spec("web", 1);
            spec.template.image = image.parse().unwrap();
            violations(&spec, &policy).into_iter().map(|found| found.rule).collect::<Vec<_>>()
        };
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(with(&format!("web@{digest}")), [""; 0]);
        assert_eq!(with(&format!("web:latest@{digest}")), [""; 0]);
        assert_eq!(with("web:1"), ["image.digest.required", "image.mutable_tag.denied"]);
        assert_eq!(with("web:latest").last(), Some(&"image.latest.denied"));
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
