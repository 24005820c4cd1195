//! The rules of a spec that no single field's type can hold.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use super::health::MIN_EXEC_INTERVAL;
use super::{HealthCheck, OnDisconnect, PortSpec, Probe, Protocol, Publish, ServiceSpec, TaskTemplate};
use crate::command::{FieldPath, Rejection};
use crate::node::Resources;
use crate::secret::SecretDelivery;

/// The most replicas that a service may have.
pub const MAX_REPLICAS: u32 = 100_000;

/// Checks a replica count that a request holds at `field`.
///
/// # Errors
/// It is above [`MAX_REPLICAS`].
pub fn check_replicas(replicas: u32, field: FieldPath) -> Result<(), Rejection> {
    if replicas <= MAX_REPLICAS {
        return Ok(());
    }
    Err(Rejection::invalid(
        field,
        format!("{replicas} replicas are too many"),
        format!("at most {MAX_REPLICAS}"),
    ))
}

/// Checks what spans fields. What the types hold is not checked again.
///
/// # Errors
/// The first rule that is broken, with the field that breaks it.
pub fn check_spec(spec: &ServiceSpec) -> Result<(), Rejection> {
    check_spec_at(spec, &FieldPath::new("spec"))
}

/// The same, of a spec that stands at `at` in the request.
///
/// # Errors
/// As [`check_spec`].
pub fn check_spec_at(spec: &ServiceSpec, at: &FieldPath) -> Result<(), Rejection> {
    check_replicas(spec.replicas, at.field("replicas"))?;
    check_ports(&spec.template.ports, &at.field("ports"))?;
    if let Some(health) = &spec.template.health {
        check_health(health, &spec.template.ports, &at.field("healthcheck"))?;
    }
    check_resources(spec.template.requests, spec.template.limits, &at.field("resource_requirements"))?;
    check_routes(spec, &at.field("routes"))?;
    check_environment(&spec.template, at)?;
    check_mounts(&spec.template, at)?;
    if let Some(user) = spec.template.security.user.as_deref() {
        let fine = !user.is_empty() && !user.contains(char::is_control);
        ensure(fine, || {
            let field = at.field("security_context").field("user");
            Rejection::invalid(
                field,
                "the user is empty or holds a control character",
                "`uid`, `uid:gid` or names",
            )
        })?;
    }
    for (i, constraint) in spec.constraints.iter().enumerate() {
        ensure(!constraint.key.trim().is_empty(), || {
            let field = at.field("placement_constraints").index(i).field("key");
            Rejection::invalid(field, "it is blank", "a label key")
        })?;
    }
    let replaced =
        matches!(spec.template.on_disconnect, OnDisconnect::ReplaceAfter(after) if !after.is_zero());
    ensure(!(spec.stateful && replaced), || {
        let field = at.field("on_disconnect").field("replace_after");
        let problem = "a stateful replica is not replaced while its node may still run it";
        Rejection::invalid(field, problem, "`keep` or `stop_after`, or to be left out")
    })?;
    ensure(spec.template.restart.max_attempts != Some(0), || {
        let field = at.field("restart_policy").field("max_attempts");
        Rejection::invalid(field, "it is 0", "at least 1, or nothing for no limit")
    })?;
    ensure(spec.rollout.max_unavailable > 0 || spec.rollout.max_surge > 0, || {
        let field = at.field("rollout").field("max_surge");
        let problem = "with neither a surge nor a missing replica allowed, no rollout can take a step";
        Rejection::invalid(field, problem, "one of `max_surge` and `max_unavailable` above 0")
    })?;
    ensure(!spec.rollout.deadline.is_zero(), || {
        Rejection::invalid(at.field("rollout").field("deadline"), "it is 0", "a time above 0")
    })
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> Rejection) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn check_ports(ports: &[PortSpec], at: &FieldPath) -> Result<(), Rejection> {
    let (mut inside, mut outside, mut names) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (i, port) in ports.iter().enumerate() {
        let at = at.index(i);
        ensure(inside.insert((port.protocol, port.container_port)), || {
            let problem = format!("{}/{} is listed twice", port.container_port, port.protocol);
            Rejection::invalid(at.field("container_port"), problem, "each port once")
        })?;
        if let Publish::Fixed(host) = port.publish {
            ensure(outside.insert((port.protocol, host)), || {
                let problem = format!("{host}/{} is published twice", port.protocol);
                Rejection::invalid(at.field("published_port"), problem, "each host port once")
            })?;
        }
        if let Some(name) = port.name.as_deref() {
            ensure(names.insert(name), || {
                Rejection::invalid(at.field("name"), format!("`{name}` names two ports"), "each name once")
            })?;
        }
    }
    Ok(())
}

fn check_health(health: &HealthCheck, ports: &[PortSpec], at: &FieldPath) -> Result<(), Rejection> {
    if let Some(port) = health.probe.port() {
        check_probed_port(port, ports, at)?;
    }
    for (name, duration) in [("interval", health.interval), ("timeout", health.timeout)] {
        ensure(!duration.is_zero(), || Rejection::invalid(at.field(name), "it is 0", "a time above 0"))?;
    }
    for (name, threshold) in
        [("healthy_threshold", health.healthy_threshold), ("unhealthy_threshold", health.unhealthy_threshold)]
    {
        ensure(threshold > 0, || Rejection::invalid(at.field(name), "it is 0", "at least 1"))?;
    }
    match &health.probe {
        Probe::Tcp { .. } => Ok(()),
        Probe::Exec { command } => {
            ensure(!command.is_empty(), || {
                Rejection::invalid(at.field("command"), "it is empty", "a program and its arguments")
            })?;
            ensure(health.interval >= MIN_EXEC_INTERVAL, || {
                let problem = "commands inside containers are not run so often";
                Rejection::invalid(at.field("interval"), problem, "at least 5 s")
            })
        }
        Probe::Http { path, .. } => {
            let fine = path.starts_with('/')
                && !path.starts_with("//")
                && !path.contains("://")
                && !path.contains(|c: char| c.is_control() || c == ' ');
            ensure(fine, || {
                let expected = "a path with one leading `/`, without `://`, spaces and control characters";
                Rejection::invalid(
                    at.field("path"),
                    format!("`{}` is no path", path.escape_debug()),
                    expected,
                )
            })
        }
    }
}

fn check_probed_port(port: NonZeroU16, ports: &[PortSpec], at: &FieldPath) -> Result<(), Rejection> {
    let tcp = || ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let is_known = tcp().any(|own| own.container_port == port || own.publish == Publish::Fixed(port));
    ensure(is_known, || {
        let known: Vec<_> = tcp().map(|port| port.container_port.to_string()).collect();
        let expected = if known.is_empty() {
            "a TCP port in `ports`".to_owned()
        } else {
            format!("one of {}", known.join(", "))
        };
        Rejection::invalid(at.field("port"), format!("{port} is no TCP port of the service"), expected)
    })
}

fn check_resources(requests: Resources, limits: Resources, at: &FieldPath) -> Result<(), Rejection> {
    let pairs = [
        ("cpu", requests.cpu_millis, limits.cpu_millis, "millicores"),
        ("memory", requests.memory_bytes, limits.memory_bytes, "bytes"),
    ];
    for (name, request, limit, unit) in pairs {
        ensure(limit == 0 || request <= limit, || {
            let problem = format!("the request of {request} {unit} is above the limit");
            Rejection::invalid(at.field("requests").field(name), problem, format!("at most {limit} {unit}"))
        })?;
    }
    Ok(())
}

fn check_routes(spec: &ServiceSpec, at: &FieldPath) -> Result<(), Rejection> {
    for (i, route) in spec.routes.iter().enumerate() {
        let at = at.index(i);
        let host =
            !route.host.trim().is_empty() && !route.host.contains(|c: char| c.is_control() || c == '`');
        ensure(host, || Rejection::invalid(at.field("host"), "it is no host name", "a host name"))?;
        let path = route.path_prefix.starts_with('/')
            && !route.path_prefix.contains(|c: char| c.is_control() || c == '`');
        ensure(path, || {
            Rejection::invalid(at.field("path_prefix"), "it is no path", "a path that begins with `/`")
        })?;
        let known = spec
            .template
            .ports
            .iter()
            .any(|port| port.protocol == Protocol::Tcp && port.container_port.get() == route.port);
        ensure(known, || {
            let problem = format!("{} is no TCP port of the service", route.port);
            Rejection::invalid(at.field("port"), problem, "a container port in `ports`")
        })?;
    }
    Ok(())
}

fn check_environment(template: &TaskTemplate, at: &FieldPath) -> Result<(), Rejection> {
    for (name, value) in &template.env {
        ensure(!value.contains('\0'), || {
            Rejection::invalid(at.field("env").field(name.as_str()), "it holds a NUL", "text without NUL")
        })?;
    }
    let mut taken: BTreeSet<_> = template.env.keys().collect();
    for (i, secret) in template.secrets.iter().enumerate() {
        if let SecretDelivery::Env(name) = &secret.delivery {
            ensure(taken.insert(name), || {
                let field = at.field("secret_refs").index(i).field("env");
                Rejection::invalid(field, format!("the variable `{name}` is set twice"), "each variable once")
            })?;
        }
    }
    Ok(())
}

fn check_mounts(template: &TaskTemplate, at: &FieldPath) -> Result<(), Rejection> {
    let mut targets = BTreeSet::new();
    let mut target = |path: &str, field: FieldPath| -> Result<(), Rejection> {
        check_path(path, field.clone())?;
        ensure(targets.insert(plain(path)), || {
            Rejection::invalid(field, format!("`{path}` is mounted twice"), "each path once")
        })
    };
    for (i, mount) in template.security.host_mounts.iter().enumerate() {
        let at = at.field("security_context").field("host_path_mounts").index(i);
        check_path(&mount.host_path, at.field("host_path"))?;
        target(&mount.container_path, at.field("container_path"))?;
    }
    for (i, mount) in template.mounts.iter().enumerate() {
        target(&mount.target, at.field("mounts").index(i).field("target"))?;
    }
    for (i, secret) in template.secrets.iter().enumerate() {
        if let SecretDelivery::File(path) = &secret.delivery {
            target(path, at.field("secret_refs").index(i).field("file"))?;
        }
    }
    if let Some(workdir) = template.workdir.as_deref() {
        check_path(workdir, at.field("workdir"))?;
    }
    Ok(())
}

/// Without what makes no difference: `/data/` and `/data` are one place.
fn plain(path: &str) -> String {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

fn check_path(path: &str, field: FieldPath) -> Result<(), Rejection> {
    let fine = path.starts_with('/')
        && !path.split('/').any(|part| part == "..")
        && !path.contains(char::is_control);
    ensure(fine, || {
        let problem = format!("`{}` is no absolute path", path.escape_debug());
        Rejection::invalid(field, problem, "a path that begins with `/` and holds no `..`")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::SecretRef;
    use crate::service::{HostMount, Route, Scheme};
    use crate::testing::web_spec;

    fn port(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).unwrap()
    }

    fn health(n: u16) -> HealthCheck {
        HealthCheck {
            probe: Probe::Http { port: port(n), scheme: Scheme::Http, path: "/healthz".to_owned() },
            start_period: Duration::ZERO,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: 1,
            unhealthy_threshold: 3,
        }
    }

    /// The field that a spec is refused for, once `spoil` had its way with a good one.
    fn refused_for(spoil: impl FnOnce(&mut ServiceSpec)) -> String {
        let mut spec = web_spec("web", 2);
        spec.template.health = Some(health(8080));
        check_spec(&spec).expect("good before");
        spoil(&mut spec);
        match check_spec(&spec) {
            Err(Rejection::Invalid { field, .. }) => field.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_rule_names_the_field_that_breaks_it() {
        assert_eq!(refused_for(|s| s.replicas = MAX_REPLICAS + 1), "spec.replicas");
        let twice = |s: &mut ServiceSpec| s.template.ports.push(s.template.ports[0].clone());
        assert_eq!(refused_for(twice), "spec.ports[1].container_port");
        assert_eq!(refused_for(|s| s.template.health = Some(health(81))), "spec.healthcheck.port");
        assert_eq!(refused_for(|s| s.template.ports[0].protocol = Protocol::Udp), "spec.healthcheck.port");
        let over = |s: &mut ServiceSpec| s.template.requests.cpu_millis = 101;
        assert_eq!(refused_for(over), "spec.resource_requirements.requests.cpu");
        let stuck = |s: &mut ServiceSpec| s.rollout.max_surge = 0;
        assert_eq!(refused_for(stuck), "spec.rollout.max_surge");
        assert_eq!(refused_for(|s| s.rollout.deadline = Duration::ZERO), "spec.rollout.deadline");
        let two_owners = |s: &mut ServiceSpec| {
            s.stateful = true;
            s.template.on_disconnect = OnDisconnect::ReplaceAfter(Duration::from_secs(60));
        };
        assert_eq!(refused_for(two_owners), "spec.on_disconnect.replace_after");
        let never = |s: &mut ServiceSpec| s.template.restart.max_attempts = Some(0);
        assert_eq!(refused_for(never), "spec.restart_policy.max_attempts");
    }

    #[test]
    fn a_fixed_host_port_is_published_once_and_may_be_what_is_probed() {
        let mut spec = web_spec("web", 1);
        spec.template.ports[0].publish = Publish::Fixed(port(80));
        spec.template.health = Some(health(80));
        assert_eq!(check_spec(&spec), Ok(()));
        let mut other = spec.template.ports[0].clone();
        other.container_port = port(8081);
        other.name = None;
        spec.template.ports.push(other);
        assert!(matches!(check_spec(&spec), Err(Rejection::Invalid { field, .. })
            if field.as_str() == "spec.ports[1].published_port"));
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        let mut spec = web_spec("web", 1);
        spec.template.limits = Resources::default();
        assert_eq!(check_spec(&spec), Ok(()));
    }

    #[test]
    fn probes_routes_paths_and_variables_keep_their_rules() {
        for bad in ["", "x", "//x", "/a://b", "/a b", "/a\n"] {
            let field = refused_for(|s| {
                let probe = Probe::Http { port: port(8080), scheme: Scheme::Http, path: bad.to_owned() };
                s.template.health = Some(HealthCheck { probe, ..health(8080) });
            });
            assert_eq!(field, "spec.healthcheck.path", "{bad:?}");
        }
        let route = |host: &str, prefix: &str, port| Route {
            host: host.to_owned(),
            path_prefix: prefix.to_owned(),
            port,
            tls: false,
        };
        assert_eq!(refused_for(|s| s.routes.push(route(" ", "/", 8080))), "spec.routes[0].host");
        assert_eq!(refused_for(|s| s.routes.push(route("a", "", 8080))), "spec.routes[0].path_prefix");
        assert_eq!(refused_for(|s| s.routes.push(route("a", "/", 80))), "spec.routes[0].port");

        let mount = |host: &str, inside: &str| HostMount {
            host_path: host.to_owned(),
            container_path: inside.to_owned(),
            read_only: false,
        };
        let mounts = "spec.security_context.host_path_mounts";
        let spoiled = refused_for(|s| s.template.security.host_mounts.push(mount("/a/../b", "/x")));
        assert_eq!(spoiled, format!("{mounts}[0].host_path"));
        let spoiled = refused_for(|s| {
            s.template.security.host_mounts = vec![mount("/a", "/x"), mount("/b", "/x")];
        });
        assert_eq!(spoiled, format!("{mounts}[1].container_path"));

        let secret = SecretRef {
            name: "db".parse().unwrap(),
            key: None,
            delivery: SecretDelivery::Env("TOKEN".parse().unwrap()),
        };
        let spoiled = refused_for(|s| s.template.secrets = vec![secret.clone(), secret]);
        assert_eq!(spoiled, "spec.secret_refs[1].env");
    }
}
