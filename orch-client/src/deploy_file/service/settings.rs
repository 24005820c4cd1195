//! Limits that are no CPU or memory, names, logging.

use std::collections::BTreeMap;

use orch_core::api::spec::{Dns, Log, ServiceSpec, Ulimit};

use super::{each, optional, pairs, within};
use crate::deploy_file::node::Value;
use crate::deploy_file::reader::{Field, Fields, Reader};

pub(super) fn settings(r: &mut Reader, f: &Fields<'_>, spec: &mut ServiceSpec) {
    spec.hostname = optional(r, f, "hostname", Reader::text);
    let pids = optional(r, f, "pids_limit", |r, field| r.number(field, u32::MAX));
    spec.pids_limit = pids.unwrap_or_default();
    spec.shm_size = optional(r, f, "shm_size", Reader::memory).unwrap_or_default();
    if let Some(field) = f.get_some(&["ulimits"]) {
        spec.ulimits = ulimits(r, &field);
    }
    if let Some(field) = f.get_some(&["log"]) {
        spec.log = log(r, &field);
    }
    if let Some(field) = f.get_some(&["dns"]) {
        spec.dns = dns(r, &field);
    }
    if let Some(field) = f.get_some(&["extra_hosts"]) {
        r.place("extra_hosts", &field);
        for (key, value) in r.map(&field) {
            r.place(format!("extra_hosts.{}", key.text), &value);
            if let Some(address) = r.text(&value) {
                spec.extra_hosts.insert(key.text.clone(), address);
            }
        }
    }
}

/// `nofile: 65536`, or `nofile: {soft: 1024, hard: unlimited}`.
fn ulimits(r: &mut Reader, field: &Field<'_>) -> BTreeMap<String, Ulimit> {
    r.place("ulimits", field);
    let mut all = BTreeMap::new();
    for (key, value) in r.map(field) {
        let at = format!("ulimits.{}", key.text);
        r.place(at.as_str(), &value);
        let limit = if matches!(value.node.value, Value::Map(_)) {
            let f = r.fields(&value, &["soft", "hard"]);
            for name in ["soft", "hard"] {
                if f.get(&[name]).is_none() {
                    r.wrong(&value, format!("`{name}` is missing"));
                }
            }
            let mut part = |name: &str| within(r, &f, &[name], &format!("{at}.{name}"), amount);
            let (soft, hard) = (part("soft"), part("hard"));
            soft.zip(hard).map(|(soft, hard)| Ulimit { soft, hard })
        } else {
            amount(r, &value).map(|both| Ulimit { soft: both, hard: both })
        };
        if let Some(limit) = limit {
            all.insert(key.text.clone(), limit);
        }
    }
    all
}

fn amount(r: &mut Reader, field: &Field<'_>) -> Option<i64> {
    let text = r.text(field)?;
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        _ if text == "unlimited" || text == "-1" => Some(-1),
        Ok(number) if digits => Some(number),
        _ => {
            r.wrong(field, format!("`{}` is neither a whole number nor `unlimited`", text.escape_debug()));
            None
        }
    }
}

fn log(r: &mut Reader, field: &Field<'_>) -> Option<Log> {
    r.place("log", field);
    let f = r.fields(field, &["driver", "options"]);
    if f.get(&["driver"]).is_none() {
        r.wrong(field, "`driver` is missing, such as json-file");
    }
    let driver = within(r, &f, &["driver"], "log.driver", Reader::text)?;
    let mut options = BTreeMap::new();
    if let Some(field) = f.get_some(&["options"]) {
        r.place("log.options", &field);
        options = pairs(r, &field);
    }
    Some(Log { driver, options })
}

fn dns(r: &mut Reader, field: &Field<'_>) -> Dns {
    r.place("dns", field);
    let f = r.fields(field, &["servers", "search", "options"]);
    let mut dns = Dns::default();
    each(r, &f, &["servers"], "dns.servers", Reader::text, &mut dns.servers);
    each(r, &f, &["search"], "dns.search", Reader::text, &mut dns.search);
    each(r, &f, &["options"], "dns.options", Reader::text, &mut dns.options);
    dns
}
