//! One document: a service, in the words of deploy files or in the API's own.

use orch_core::api::Resources;
use orch_core::api::spec::{
    Autoscaling, Backoff, Constraint, HealthCheck, HostPathMount, MAX_REPLICAS, OnFailure, Operator, Port,
    ProbeKind, Protocol, ResourceRequirements, RestartCondition, RestartPolicy, Rollout, Route, Scheme,
    SecretRef, SecurityContext, ServiceSpec, VolumeClaim,
};
use orch_core::command::{FieldPath, Rejection};
use orch_core::name::EnvName;

use super::node::{Node, Value};
use super::problem::Problem;
use super::reader::{Field, Fields, Reader};

const KEYS: &[&str] = &[
    "name",
    "image",
    "image_metadata",
    "image_pull_secret",
    "stateful",
    "replicas",
    "entrypoint",
    "command",
    "workdir",
    "env",
    "secret_refs",
    "ports",
    "resources",
    "resource_requirements",
    "security_context",
    "autoscaling",
    "healthcheck",
    "health_check",
    "restart",
    "restart_policy",
    "placement",
    "placement_constraints",
    "routes",
    "volume_claims",
    "labels",
    "stop_signal",
    "stop_grace",
    "drain_delay",
    "init",
    "rollout",
];
/// What stands beside `spec` in the API's answers, and is the server's to say.
const AROUND_SPEC: &[&str] = &[
    "spec",
    "id",
    "namespace",
    "status",
    "deployment_version",
    "newest_version",
    "revision",
    "created_at",
    "updated_at",
    "gitops",
];

/// Reads one document; what is wrong is noted in `problems`.
pub(super) fn read(document: &Node, json: bool, problems: &mut Vec<Problem>) -> Option<ServiceSpec> {
    let mut reader = Reader::new(json);
    let root = Field { node: document, path: String::new() };
    let root = unwrap(&mut reader, root);
    reader.place("", &root);
    let spec = service(&mut reader, &root);
    if reader.problems.is_empty() {
        // The server's own rules, so that what is valid here is valid there.
        match spec.parse(&FieldPath::default()) {
            Ok(_) => return Some(spec),
            Err(rejection) => {
                let problem = placed(&reader, &root, rejection);
                reader.problems.push(problem);
            }
        }
    }
    problems.append(&mut reader.problems);
    None
}

fn placed(reader: &Reader, root: &Field<'_>, rejection: Rejection) -> Problem {
    match rejection {
        Rejection::Invalid { field, problem, expected } => {
            let (at, path) =
                reader.find(field.as_str()).unwrap_or_else(|| (root.node.at, field.as_str().to_owned()));
            let path = if path.is_empty() { field.as_str().to_owned() } else { path };
            Problem { at, path, message: format!("{problem}; expected {expected}") }
        }
        other => Problem { at: root.node.at, path: String::new(), message: other.to_string() },
    }
}

/// `{"service": {"spec": …}}` and `{"spec": …}` hold a spec, too.
fn unwrap<'n>(reader: &mut Reader, field: Field<'n>) -> Field<'n> {
    let Value::Map(entries) = &field.node.value else { return field };
    let has = |name: &str| entries.iter().any(|(key, _)| key.text == name);
    if entries.len() == 1 && has("service") {
        let inner = reader.fields(&field, &["service"]).get(&["service"]);
        return inner.map_or(field, |inner| unwrap(reader, inner));
    }
    if has("spec") && !has("image") {
        let inner = reader.fields(&field, AROUND_SPEC).get(&["spec"]);
        return inner.unwrap_or(field);
    }
    field
}

fn service(r: &mut Reader, root: &Field<'_>) -> ServiceSpec {
    let f = r.fields(root, KEYS);
    let mut spec = ServiceSpec { replicas: 1, ..ServiceSpec::default() };
    for (name, target) in [("name", &mut spec.name), ("image", &mut spec.image)] {
        match f.get(&[name]) {
            None if matches!(root.node.value, Value::Map(_)) => r.wrong(root, format!("`{name}` is missing")),
            None => {}
            Some(field) => {
                r.place(name, &field);
                *target = r.text(&field).unwrap_or_default();
            }
        }
    }
    spec.image_pull_secret = optional(r, &f, "image_pull_secret", Reader::text);
    spec.stateful = optional(r, &f, "stateful", Reader::boolean).unwrap_or_default();
    spec.replicas = optional(r, &f, "replicas", |r, field| r.number(field, MAX_REPLICAS)).unwrap_or(1);
    spec.entrypoint = texts(r, &f, "entrypoint");
    spec.command = texts(r, &f, "command");
    spec.workdir = optional(r, &f, "workdir", Reader::text);
    spec.init = optional(r, &f, "init", Reader::boolean).unwrap_or_default();
    spec.stop_signal = optional(r, &f, "stop_signal", Reader::text);
    spec.stop_grace = optional(r, &f, "stop_grace", Reader::duration).unwrap_or_default();
    spec.drain_delay = optional(r, &f, "drain_delay", Reader::duration);
    if let Some(field) = f.get_some(&["labels"]) {
        r.place("labels", &field);
        spec.labels = pairs(r, &field);
    }
    each(r, &f, &["secret_refs"], "secret_refs", secret_ref, &mut spec.secret_refs);
    if let Some(field) = f.get_some(&["env"]) {
        environment(r, &field, &mut spec);
    }
    each(r, &f, &["ports"], "ports", port, &mut spec.ports);
    if let Some(field) = f.get_some(&["resources", "resource_requirements"]) {
        spec.resource_requirements = resources(r, &field);
    }
    if let Some(field) = f.get_some(&["security_context"]) {
        spec.security_context = security(r, &field);
    }
    if let Some(field) = f.get_some(&["autoscaling"]) {
        spec.autoscaling = autoscaling(r, &field);
    }
    if let Some(field) = f.get_some(&["healthcheck", "health_check"]) {
        spec.healthcheck = Some(healthcheck(r, &field));
    }
    if let Some(field) = f.get_some(&["restart", "restart_policy"]) {
        spec.restart_policy = restart(r, &field);
    }
    each(
        r,
        &f,
        &["placement_constraints"],
        "placement_constraints",
        constraint,
        &mut spec.placement_constraints,
    );
    if let Some(field) = f.get_some(&["placement"]) {
        placement(r, &field, &mut spec.placement_constraints);
    }
    each(r, &f, &["routes"], "routes", route, &mut spec.routes);
    each(r, &f, &["volume_claims"], "volume_claims", volume_claim, &mut spec.volume_claims);
    if let Some(field) = f.get_some(&["rollout"]) {
        spec.rollout = Some(rollout(r, &field));
    }
    spec
}

/// A top-level field that may be left out.
fn optional<T>(
    r: &mut Reader,
    fields: &Fields<'_>,
    name: &str,
    read: impl FnOnce(&mut Reader, &Field<'_>) -> Option<T>,
) -> Option<T> {
    let field = fields.get(&[name])?;
    r.place(name, &field);
    read(r, &field)
}

/// A field within another; `at` is the API's path of the whole.
fn within<T>(
    r: &mut Reader,
    fields: &Fields<'_>,
    names: &[&str],
    at: &str,
    read: impl FnOnce(&mut Reader, &Field<'_>) -> Option<T>,
) -> Option<T> {
    let field = fields.get(names)?;
    r.place(at, &field);
    read(r, &field)
}

fn texts(r: &mut Reader, fields: &Fields<'_>, name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(field) = fields.get_some(&[name]) {
        r.place(name, &field);
        if matches!(field.node.value, Value::Scalar { .. }) {
            r.wrong(&field, "expected a list of arguments, such as [sh, -c, \"echo hi\"]");
            return out;
        }
        for item in r.list(&field) {
            out.extend(r.text(&item));
        }
    }
    out
}

fn pairs(r: &mut Reader, field: &Field<'_>) -> std::collections::BTreeMap<String, String> {
    let entries = r.map(field);
    entries.into_iter().filter_map(|(key, value)| Some((key.text.clone(), r.text(&value)?))).collect()
}

fn each<T>(
    r: &mut Reader,
    fields: &Fields<'_>,
    names: &[&str],
    at: &str,
    read: impl Fn(&mut Reader, &Field<'_>) -> Option<T>,
    into: &mut Vec<T>,
) {
    let Some(field) = fields.get_some(names) else { return };
    r.place(at, &field);
    for (index, item) in r.list(&field).into_iter().enumerate() {
        r.place(format!("{at}[{index}]"), &item);
        into.extend(read(r, &item));
    }
}

fn environment(r: &mut Reader, field: &Field<'_>, spec: &mut ServiceSpec) {
    r.place("env", field);
    for (key, value) in r.map(field) {
        let name = key.text.as_str();
        r.place(format!("env.{name}"), &value);
        if let Err(problem) = name.parse::<EnvName>() {
            r.wrong_key(key, &value, problem.to_string());
            continue;
        }
        if !matches!(value.node.value, Value::Map(_)) {
            if let Some(text) = r.text(&value) {
                spec.env.insert(name.to_owned(), text);
            }
            continue;
        }
        let f = r.fields(&value, &["value", "secret_ref"]);
        match (f.get(&["value"]), f.get(&["secret_ref"])) {
            (Some(literal), None) => {
                if let Some(text) = r.text(&literal) {
                    spec.env.insert(name.to_owned(), text);
                }
            }
            (None, Some(reference)) => {
                let secret = if matches!(reference.node.value, Value::Map(_)) {
                    let f = r.fields(&reference, &["name", "key"]);
                    let (secret, key) = (f.get(&["name"]), f.get(&["key"]));
                    if secret.is_none() {
                        r.wrong(&reference, "`name` is missing");
                    }
                    secret.and_then(|s| r.text(&s)).map(|s| (s, key.and_then(|k| r.text(&k))))
                } else {
                    r.text(&reference).map(|secret| (secret, None))
                };
                if let Some((secret, key)) = secret {
                    r.place(format!("secret_refs[{}]", spec.secret_refs.len()), &reference);
                    spec.secret_refs.push(SecretRef {
                        name: secret,
                        key,
                        env: Some(name.to_owned()),
                        file: None,
                    });
                }
            }
            (Some(_), Some(_)) => r.wrong(&value, "`value` and `secretRef` both; keep one of them"),
            (None, None) => r.wrong(&value, "expected a string, {value: …} or {secretRef: …}"),
        }
    }
}

fn secret_ref(r: &mut Reader, field: &Field<'_>) -> Option<SecretRef> {
    let f = r.fields(field, &["name", "key", "env", "file"]);
    let mut text = |name: &str| f.get(&[name]).map(|field| r.text(&field).unwrap_or_default());
    let (name, key, env, file) = (text("name"), text("key"), text("env"), text("file"));
    if name.is_none() {
        r.wrong(field, "`name` is missing");
    }
    Some(SecretRef { name: name?, key, env, file })
}

fn port(r: &mut Reader, field: &Field<'_>) -> Option<Port> {
    let f = r.fields(
        field,
        &["name", "protocol", "container", "container_port", "public", "published", "published_port"],
    );
    let name = f.get(&["name"]).and_then(|field| r.text(&field));
    let protocol = f
        .get(&["protocol"])
        .and_then(|field| r.word(&field, &[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)]))
        .unwrap_or_default();
    let container = f.get(&["container", "container_port"]);
    if container.is_none() && matches!(field.node.value, Value::Map(_)) {
        r.wrong(field, "`container` is missing: the port that the service listens on");
    }
    let container_port = r.port(&container?)?;
    let published_port =
        f.get(&["public", "published", "published_port"]).map_or(Some(0), |field| r.port(&field))?;
    Some(Port { name, protocol, container_port, published_port })
}

fn resources(r: &mut Reader, field: &Field<'_>) -> ResourceRequirements {
    const AT: &str = "resource_requirements";
    r.place(AT, field);
    let f = r.fields(field, &["cpu", "memory", "requests", "limits"]);
    let mut both = Resources::default();
    for side in ["requests", "limits"] {
        let cpu = format!("{AT}.{side}.cpu");
        let memory = format!("{AT}.{side}.memory");
        if let Some(field) = f.get(&["cpu"]) {
            r.place(cpu, &field);
        }
        if let Some(field) = f.get(&["memory"]) {
            r.place(memory, &field);
        }
    }
    if let Some(field) = f.get(&["cpu"]) {
        both.cpu = r.cpu(&field).unwrap_or_default();
    }
    if let Some(field) = f.get(&["memory"]) {
        both.memory = r.memory(&field).unwrap_or_default();
    }
    let mut all = ResourceRequirements { requests: both, limits: both };
    for (side, target) in [("requests", &mut all.requests), ("limits", &mut all.limits)] {
        let Some(field) = f.get_some(&[side]) else { continue };
        let at = format!("{AT}.{side}");
        r.place(at.as_str(), &field);
        let inner = r.fields(&field, &["cpu", "memory"]);
        if let Some(cpu) = within(r, &inner, &["cpu"], &format!("{at}.cpu"), Reader::cpu) {
            target.cpu = cpu;
        }
        if let Some(memory) = within(r, &inner, &["memory"], &format!("{at}.memory"), Reader::memory) {
            target.memory = memory;
        }
    }
    all
}

fn security(r: &mut Reader, field: &Field<'_>) -> SecurityContext {
    const AT: &str = "security_context";
    r.place(AT, field);
    let f = r.fields(
        field,
        &[
            "user",
            "read_only_root_filesystem",
            "privileged",
            "cap_add",
            "cap_drop",
            "host_network",
            "host_pid",
            "host_path_mounts",
        ],
    );
    let mut flag =
        |name: &str| within(r, &f, &[name], &format!("{AT}.{name}"), Reader::boolean).unwrap_or_default();
    let (read_only_root_filesystem, privileged) = (flag("read_only_root_filesystem"), flag("privileged"));
    let (host_network, host_pid) = (flag("host_network"), flag("host_pid"));
    let mut context = SecurityContext {
        user: within(r, &f, &["user"], "security_context.user", Reader::text),
        read_only_root_filesystem,
        privileged,
        host_network,
        host_pid,
        ..SecurityContext::default()
    };
    each(r, &f, &["cap_add"], "security_context.cap_add", Reader::text, &mut context.cap_add);
    each(r, &f, &["cap_drop"], "security_context.cap_drop", Reader::text, &mut context.cap_drop);
    let at = "security_context.host_path_mounts";
    each(r, &f, &["host_path_mounts"], at, mount, &mut context.host_path_mounts);
    context
}

fn mount(r: &mut Reader, field: &Field<'_>) -> Option<HostPathMount> {
    let f = r.fields(field, &["host_path", "container_path", "read_only"]);
    let mut path = |name: &str, shown: &str| match f.get(&[name]) {
        Some(field) => r.text(&field),
        None => {
            r.wrong(field, format!("`{shown}` is missing"));
            None
        }
    };
    let (host_path, container_path) =
        (path("host_path", "hostPath"), path("container_path", "containerPath"));
    let read_only = f.get(&["read_only"]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    Some(HostPathMount { host_path: host_path?, container_path: container_path?, read_only })
}

fn autoscaling(r: &mut Reader, field: &Field<'_>) -> Autoscaling {
    r.place("autoscaling", field);
    let f = r.fields(
        field,
        &[
            "enabled",
            "min_replicas",
            "max_replicas",
            "target_cpu_utilization",
            "cooldown",
            "stabilization_window",
        ],
    );
    Autoscaling {
        enabled: within(r, &f, &["enabled"], "autoscaling.enabled", Reader::boolean).unwrap_or_default(),
        min_replicas: f.get(&["min_replicas"]).and_then(|field| r.number(&field, MAX_REPLICAS)),
        max_replicas: f.get(&["max_replicas"]).and_then(|field| r.number(&field, MAX_REPLICAS)),
        target_cpu_utilization: f.get(&["target_cpu_utilization"]).and_then(|field| r.number(&field, 1000)),
        cooldown: f.get(&["cooldown"]).and_then(|field| r.duration(&field)),
        stabilization_window: f.get(&["stabilization_window"]).and_then(|field| r.duration(&field)),
    }
}

fn healthcheck(r: &mut Reader, field: &Field<'_>) -> HealthCheck {
    const AT: &str = "healthcheck";
    r.place(AT, field);
    let f = r.fields(
        field,
        &[
            "type",
            "scheme",
            "path",
            "port",
            "interval",
            "timeout",
            "healthy_threshold",
            "unhealthy_threshold",
        ],
    );
    let kinds = [("none", ProbeKind::None), ("http", ProbeKind::Http), ("tcp", ProbeKind::Tcp)];
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let kind = match f.get(&["type"]) {
        Some(field) => r.word(&field, &kinds).unwrap_or_default(),
        None => {
            r.wrong(field, "`type` is missing: http, tcp or none");
            ProbeKind::None
        }
    };
    let count = |r: &mut Reader, name: &str| {
        within(r, &f, &[name], &format!("{AT}.{name}"), |r, field| r.number(field, 1000)).unwrap_or_default()
    };
    HealthCheck {
        kind,
        scheme: within(r, &f, &["scheme"], "healthcheck.scheme", |r, field| r.word(field, &schemes)),
        path: within(r, &f, &["path"], "healthcheck.path", Reader::text),
        port: within(r, &f, &["port"], "healthcheck.port", Reader::port).unwrap_or_default(),
        interval: within(r, &f, &["interval"], "healthcheck.interval", Reader::duration).unwrap_or_default(),
        timeout: within(r, &f, &["timeout"], "healthcheck.timeout", Reader::duration).unwrap_or_default(),
        healthy_threshold: count(r, "healthy_threshold"),
        unhealthy_threshold: count(r, "unhealthy_threshold"),
    }
}

fn restart(r: &mut Reader, field: &Field<'_>) -> RestartPolicy {
    const WORDS: [(&str, RestartCondition); 5] = [
        ("always", RestartCondition::Always),
        ("on_failure", RestartCondition::OnFailure),
        ("on-failure", RestartCondition::OnFailure),
        ("never", RestartCondition::Never),
        ("", RestartCondition::Unset),
    ];
    r.place("restart_policy", field);
    if matches!(field.node.value, Value::Scalar { .. }) {
        let condition = r.word(field, &WORDS).unwrap_or_default();
        return RestartPolicy { condition, ..RestartPolicy::default() };
    }
    let f = r.fields(field, &["policy", "condition", "max_attempts", "backoff"]);
    let condition = f.get(&["policy", "condition"]).and_then(|field| r.word(&field, &WORDS));
    let max_attempts = f.get(&["max_attempts"]).and_then(|field| r.number(&field, u32::MAX));
    let backoff = f.get_some(&["backoff"]).map(|field| {
        r.place("restart_policy.backoff", &field);
        let f = r.fields(&field, &["initial", "max", "reset_after"]);
        let mut part = |name: &str| {
            let at = format!("restart_policy.backoff.{name}");
            within(r, &f, &[name], &at, Reader::duration).unwrap_or_default()
        };
        Backoff { initial: part("initial"), max: part("max"), reset_after: part("reset_after") }
    });
    RestartPolicy {
        condition: condition.unwrap_or_default(),
        max_attempts: max_attempts.unwrap_or_default(),
        backoff,
    }
}

fn placement(r: &mut Reader, field: &Field<'_>, into: &mut Vec<Constraint>) {
    let f = r.fields(field, &["labels", "constraints"]);
    if let Some(labels) = f.get_some(&["labels"]) {
        for (key, value) in r.map(&labels) {
            r.place(format!("placement_constraints[{}]", into.len()), &value);
            if let Some(text) = r.text(&value) {
                into.push(Constraint { key: key.text.clone(), operator: Operator::Equals, value: text });
            }
        }
    }
    if let Some(list) = f.get_some(&["constraints"]) {
        for item in r.list(&list) {
            r.place(format!("placement_constraints[{}]", into.len()), &item);
            into.extend(constraint(r, &item));
        }
    }
}

fn constraint(r: &mut Reader, field: &Field<'_>) -> Option<Constraint> {
    let f = r.fields(field, &["key", "operator", "value"]);
    let words = [
        ("equals", Operator::Equals),
        ("not_equals", Operator::NotEquals),
        ("not-equals", Operator::NotEquals),
    ];
    let operator = f.get(&["operator"]).map_or(Some(Operator::Equals), |field| r.word(&field, &words));
    let mut part = |name: &str| match f.get(&[name]) {
        Some(field) => r.text(&field),
        None => {
            r.wrong(field, format!("`{name}` is missing"));
            None
        }
    };
    let (key, value) = (part("key"), part("value"));
    Some(Constraint { key: key?, operator: operator?, value: value? })
}

fn route(r: &mut Reader, field: &Field<'_>) -> Option<Route> {
    let f = r.fields(field, &["host", "path_prefix", "port", "tls"]);
    let host = f.get(&["host"]).and_then(|field| r.text(&field));
    let path_prefix = f.get(&["path_prefix"]).map_or(Some("/".to_owned()), |field| r.text(&field));
    let port = f.get(&["port"]).and_then(|field| r.port(&field));
    let tls = f.get(&["tls"]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    for (name, missing) in [("host", f.get(&["host"]).is_none()), ("port", f.get(&["port"]).is_none())] {
        if missing && matches!(field.node.value, Value::Map(_)) {
            r.wrong(field, format!("`{name}` is missing"));
        }
    }
    Some(Route { host: host?, path_prefix: path_prefix?, port: port?, tls })
}

fn volume_claim(r: &mut Reader, field: &Field<'_>) -> Option<VolumeClaim> {
    let f = r.fields(field, &["claim", "target", "read_only"]);
    let claim = f.get(&["claim"]).and_then(|field| r.text(&field));
    let target = f.get(&["target"]).and_then(|field| r.text(&field));
    let read_only = f.get(&["read_only"]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    Some(VolumeClaim { claim: claim.unwrap_or_default(), target: target.unwrap_or_default(), read_only })
}

fn rollout(r: &mut Reader, field: &Field<'_>) -> Rollout {
    const AT: &str = "rollout";
    r.place(AT, field);
    let f = r.fields(field, &["max_unavailable", "max_surge", "min_healthy", "deadline", "on_failure"]);
    let count = |r: &mut Reader, name: &str| {
        within(r, &f, &[name], &format!("{AT}.{name}"), |r, field| r.number(field, MAX_REPLICAS))
    };
    let words = [("rollback", OnFailure::Rollback), ("pause", OnFailure::Pause)];
    Rollout {
        max_unavailable: count(r, "max_unavailable"),
        max_surge: count(r, "max_surge"),
        min_healthy: within(r, &f, &["min_healthy"], "rollout.min_healthy", Reader::duration),
        deadline: within(r, &f, &["deadline"], "rollout.deadline", Reader::duration),
        on_failure: within(r, &f, &["on_failure"], "rollout.on_failure", |r, field| r.word(field, &words)),
    }
}
