//! How the agent tells whether a task serves.

use orch_core::api::spec::{HealthCheck, ProbeKind, Scheme};

use super::{arguments, within};
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn healthcheck(r: &mut Reader, field: &Field<'_>) -> HealthCheck {
    const AT: &str = "healthcheck";
    r.place(AT, field);
    let f = r.fields(
        field,
        &[
            "type",
            "scheme",
            "path",
            "port",
            "command",
            "interval",
            "timeout",
            "start_period",
            "healthy_threshold",
            "unhealthy_threshold",
        ],
    );
    let kinds = [
        ("none", ProbeKind::None),
        ("http", ProbeKind::Http),
        ("tcp", ProbeKind::Tcp),
        ("exec", ProbeKind::Exec),
    ];
    let schemes = [("http", Scheme::Http), ("https", Scheme::Https)];
    let kind = match f.get(&["type"]) {
        Some(field) => r.word(&field, &kinds).unwrap_or_default(),
        None => {
            r.wrong(field, "`type` is missing: http, tcp, exec or none");
            ProbeKind::None
        }
    };
    let count = |r: &mut Reader, name: &str| {
        within(r, &f, &[name], &format!("{AT}.{name}"), |r, field| r.number(field, 1000)).unwrap_or_default()
    };
    let mut command = Vec::new();
    if let Some(field) = f.get_some(&["command"]) {
        r.place("healthcheck.command", &field);
        command = arguments(r, &field);
    }
    HealthCheck {
        kind,
        command,
        start_period: within(r, &f, &["start_period"], "healthcheck.start_period", Reader::duration)
            .unwrap_or_default(),
        scheme: within(r, &f, &["scheme"], "healthcheck.scheme", |r, field| r.word(field, &schemes)),
        path: within(r, &f, &["path"], "healthcheck.path", Reader::text),
        port: within(r, &f, &["port"], "healthcheck.port", Reader::port).unwrap_or_default(),
        interval: within(r, &f, &["interval"], "healthcheck.interval", Reader::duration).unwrap_or_default(),
        timeout: within(r, &f, &["timeout"], "healthcheck.timeout", Reader::duration).unwrap_or_default(),
        healthy_threshold: count(r, "healthy_threshold"),
        unhealthy_threshold: count(r, "unhealthy_threshold"),
    }
}
