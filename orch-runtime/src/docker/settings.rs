//! Limits, names and logging in the engine's words.

use std::collections::BTreeMap;

use orch_core::service::{ContainerSettings, LogSettings};
use serde::Serialize;

/// A limit of each process; −1 is none.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Ulimit {
    name: &'static str,
    soft: i64,
    hard: i64,
}

#[derive(Serialize)]
pub(super) struct LogConfig {
    #[serde(rename = "Type")]
    driver: String,
    #[serde(rename = "Config")]
    options: BTreeMap<String, String>,
}

/// What a container may keep of its output where nothing is said: five files of 20 MB. The engine's own default is no bound
/// at all, which fills the disk of every node that runs long enough.
const BOUNDS: [(&str, &str); 2] = [("max-size", "20m"), ("max-file", "5")];

/// Where output goes. A driver that writes files on the node always has bounds.
pub(super) fn log_config(wanted: Option<&LogSettings>) -> LogConfig {
    let wanted = wanted.cloned();
    let LogSettings { driver, mut options } =
        wanted.unwrap_or_else(|| LogSettings { driver: "json-file".to_owned(), options: BTreeMap::new() });
    if matches!(driver.as_str(), "json-file" | "local") {
        for (key, value) in BOUNDS {
            options.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    LogConfig { driver, options }
}

pub(super) fn ulimits(settings: &ContainerSettings) -> Vec<Ulimit> {
    let amount = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let all = settings.ulimits.iter();
    all.map(|(name, limit)| Ulimit {
        name: name.as_str(),
        soft: amount(limit.soft),
        hard: amount(limit.hard),
    })
    .collect()
}

/// `name:address`, as the engine writes it into `/etc/hosts`.
pub(super) fn extra_hosts(settings: &ContainerSettings) -> Vec<String> {
    settings.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_on_the_node_are_bounded_whatever_is_left_out() {
        let options = |driver: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let log = LogSettings { driver: driver.to_owned(), options };
            serde_json::to_string(&log_config(Some(&log)).options).unwrap()
        };
        let usual = r#"{"max-file":"5","max-size":"20m"}"#;
        assert_eq!(serde_json::to_string(&log_config(None).options).unwrap(), usual);
        assert_eq!(options("local", &[]), usual);
        assert_eq!(options("json-file", &[("max-size", "1m")]), r#"{"max-file":"5","max-size":"1m"}"#);
        assert_eq!(options("none", &[]), "{}");
    }
}
