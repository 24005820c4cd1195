//! Ports, and ways in from outside.

use orch_core::api::spec::{Port, Protocol, Route};

use crate::deploy_file::node::Value;
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn port(r: &mut Reader, field: &Field<'_>) -> Option<Port> {
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

pub(super) fn route(r: &mut Reader, field: &Field<'_>) -> Option<Route> {
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
