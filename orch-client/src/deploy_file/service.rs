//! One document: a service, in the words of deploy files or in the API's own.

mod env;
mod health;
mod lifecycle;
mod network;
mod placement;
mod resources;
mod security;
mod settings;
mod storage;

use orch_core::api::spec::{MAX_REPLICAS, ServiceSpec, VolumeClaim};
use orch_core::command::{FieldPath, Rejection};

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
    "mounts",
    "hostname",
    "pids_limit",
    "ulimits",
    "shm_size",
    "log",
    "dns",
    "extra_hosts",
    "autoscaling",
    "healthcheck",
    "health_check",
    "restart",
    "restart_policy",
    "placement",
    "placement_constraints",
    "placement_strategy",
    "routes",
    "volume_claims",
    "labels",
    "stop_signal",
    "stop_grace",
    "drain_delay",
    "on_disconnect",
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
    if let Some(field) = f.get_some(&["on_disconnect"]) {
        spec.on_disconnect = lifecycle::on_disconnect(r, &field);
    }
    if let Some(field) = f.get_some(&["labels"]) {
        r.place("labels", &field);
        spec.labels = pairs(r, &field);
    }
    each(r, &f, &["secret_refs"], "secret_refs", env::secret_ref, &mut spec.secret_refs);
    if let Some(field) = f.get_some(&["env"]) {
        env::environment(r, &field, &mut spec);
    }
    each(r, &f, &["ports"], "ports", network::port, &mut spec.ports);
    if let Some(field) = f.get_some(&["resources", "resource_requirements"]) {
        spec.resource_requirements = resources::resources(r, &field);
    }
    if let Some(field) = f.get_some(&["security_context"]) {
        spec.security_context = security::security(r, &field);
    }
    if let Some(field) = f.get_some(&["mounts"]) {
        r.place("mounts", &field);
        for (index, item) in r.list(&field).into_iter().enumerate() {
            let at = format!("mounts[{index}]");
            r.place(at.as_str(), &item);
            spec.mounts.extend(storage::mount(r, &item, &at));
        }
    }
    settings::settings(r, &f, &mut spec);
    if let Some(field) = f.get_some(&["autoscaling"]) {
        spec.autoscaling = lifecycle::autoscaling(r, &field);
    }
    if let Some(field) = f.get_some(&["healthcheck", "health_check"]) {
        spec.healthcheck = Some(health::healthcheck(r, &field));
    }
    if let Some(field) = f.get_some(&["restart", "restart_policy"]) {
        spec.restart_policy = lifecycle::restart(r, &field);
    }
    if let Some(field) = f.get_some(&["placement_constraints"]) {
        placement::constraints(r, &field, &mut spec.placement_constraints);
    }
    if let Some(strategy) = placement::strategy(r, &f, "placement_strategy") {
        spec.placement_strategy = strategy;
    }
    if let Some(field) = f.get_some(&["placement"]) {
        placement::placement(r, &field, &mut spec);
    }
    each(r, &f, &["routes"], "routes", network::route, &mut spec.routes);
    each(r, &f, &["volume_claims"], "volume_claims", volume_claim, &mut spec.volume_claims);
    if let Some(field) = f.get_some(&["rollout"]) {
        spec.rollout = Some(lifecycle::rollout(r, &field));
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
    let Some(field) = fields.get_some(&[name]) else { return Vec::new() };
    r.place(name, &field);
    arguments(r, &field)
}

/// A program's arguments: a list, since a text would have to be split.
fn arguments(r: &mut Reader, field: &Field<'_>) -> Vec<String> {
    if matches!(field.node.value, Value::Scalar { .. }) {
        r.wrong(field, "expected a list of arguments, such as [sh, -c, \"echo hi\"]");
        return Vec::new();
    }
    r.list(field).iter().filter_map(|item| r.text(item)).collect()
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

fn volume_claim(r: &mut Reader, field: &Field<'_>) -> Option<VolumeClaim> {
    let f = r.fields(field, &["claim", "target", "read_only"]);
    let claim = f.get(&["claim"]).and_then(|field| r.text(&field));
    let target = f.get(&["target"]).and_then(|field| r.text(&field));
    let read_only = f.get(&["read_only"]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    Some(VolumeClaim { claim: claim.unwrap_or_default(), target: target.unwrap_or_default(), read_only })
}
