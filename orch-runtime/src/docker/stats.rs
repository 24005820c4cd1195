//! What containers use, as the engine counts it.
//!
//! One sample a call (`one-shot`, in every version that we speak): without it engines wait for a second one before they answer.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use orch_core::runtime::{ContainerId, ContainerStats, RuntimeError, Usage};
use orch_core::time::Timestamp;
use serde::Deserialize;

use super::DockerRuntime;
use super::engine::Payload;

/// A measurement that takes longer is of no use.
const DEADLINE: Duration = Duration::from_secs(5);

/// What the engine answers, as far as it matters. What it leaves out, or says is `null`, was not counted.
#[derive(Debug, Default, Deserialize)]
struct Sample {
    #[serde(default)]
    read: String,
    #[serde(default)]
    cpu_stats: Option<Cpu>,
    #[serde(default)]
    memory_stats: Option<Memory>,
    /// Left out where the container has the node's network, or none.
    #[serde(default)]
    networks: Option<HashMap<String, Network>>,
    #[serde(default)]
    blkio_stats: Option<Disks>,
    #[serde(default)]
    pids_stats: Option<Pids>,
}

#[derive(Debug, Default, Deserialize)]
struct Cpu {
    #[serde(default)]
    cpu_usage: CpuUsage,
}

#[derive(Debug, Default, Deserialize)]
struct CpuUsage {
    /// Nanoseconds.
    #[serde(default)]
    total_usage: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Memory {
    #[serde(default)]
    usage: u64,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    stats: HashMap<String, u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Network {
    #[serde(default)]
    rx_bytes: u64,
    #[serde(default)]
    tx_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Disks {
    #[serde(default)]
    io_service_bytes_recursive: Option<Vec<DiskEntry>>,
}

#[derive(Debug, Default, Deserialize)]
struct DiskEntry {
    #[serde(default)]
    op: String,
    #[serde(default)]
    value: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Pids {
    #[serde(default)]
    current: Option<u64>,
}

impl Sample {
    /// `None`: the container does not run, and everything of it is zero.
    fn usage(&self) -> Option<Usage> {
        let at = Timestamp::parse_rfc3339(&self.read).ok().filter(|at| *at > Timestamp::ZERO)?;
        let cpu = self.cpu_stats.as_ref()?.cpu_usage.total_usage;
        let memory = self.memory_stats.as_ref()?;
        let networks = |count: fn(&Network) -> u64| Some(self.networks.as_ref()?.values().map(count).sum());
        let disks = |wanted: &str| {
            let entries = self.blkio_stats.as_ref()?.io_service_bytes_recursive.as_ref()?;
            let of = entries.iter().filter(|entry| entry.op.eq_ignore_ascii_case(wanted));
            Some(of.map(|entry| entry.value).sum())
        };
        Some(Usage {
            at,
            cpu: Duration::from_nanos(cpu),
            memory_bytes: memory.held(),
            memory_limit_bytes: memory.limit.filter(|limit| *limit > 0),
            received_bytes: networks(|network| network.rx_bytes),
            sent_bytes: networks(|network| network.tx_bytes),
            read_bytes: disks("read"),
            written_bytes: disks("write"),
            pids: self.pids_stats.as_ref().and_then(|pids| pids.current),
        })
    }
}

impl Memory {
    /// Without the file cache that nobody used lately, as `docker stats` has it: cgroup v1 counts it with that of groups below.
    fn held(&self) -> u64 {
        let cache = ["total_inactive_file", "inactive_file"].iter().find_map(|name| self.stats.get(*name));
        self.usage.saturating_sub(cache.copied().unwrap_or(0))
    }
}

#[async_trait]
impl ContainerStats for DockerRuntime {
    async fn usage(&self, container: &ContainerId) -> Result<Usage, RuntimeError> {
        if !self.is_ours(container).await? {
            return Err(RuntimeError::Gone);
        }
        let client = self.client();
        let call = async {
            let path = format!("/containers/{container}/stats?stream=false&one-shot=true");
            let path = client.session().await?.path(&path);
            client.engine.json::<Sample>(Method::GET, &path, Payload::Empty).await
        };
        match client.run("stats", DEADLINE, call).await {
            Ok(sample) => sample.usage().ok_or(RuntimeError::Gone),
            Err(error) if matches!(error.status(), Some(404 | 409)) => Err(RuntimeError::Gone),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Option<Usage> {
        serde_json::from_str::<Sample>(json).unwrap().usage()
    }

    #[test]
    fn a_sample_of_cgroup_v2_is_read() {
        let seen = usage(
            r#"{"read":"2026-01-02T03:04:05.678901234Z","cpu_stats":{"cpu_usage":{"total_usage":1500000000}},
                "memory_stats":{"usage":5000,"limit":9000,"stats":{"inactive_file":1000,"anon":4000}},
                "networks":{"eth0":{"rx_bytes":1,"tx_bytes":2},"eth1":{"rx_bytes":10,"tx_bytes":20}},
                "blkio_stats":{"io_service_bytes_recursive":[{"op":"read","value":5},{"op":"write","value":6}]},
                "pids_stats":{"current":3}}"#,
        )
        .unwrap();
        assert_eq!(seen.cpu, Duration::from_millis(1_500));
        assert_eq!((seen.memory_bytes, seen.memory_limit_bytes), (4_000, Some(9_000)));
        assert_eq!((seen.received_bytes, seen.sent_bytes), (Some(11), Some(22)));
        assert_eq!((seen.read_bytes, seen.written_bytes, seen.pids), (Some(5), Some(6), Some(3)));
    }

    #[test]
    fn a_sample_of_cgroup_v1_is_read_and_what_is_not_counted_is_not_zero() {
        let seen = usage(
            r#"{"read":"2026-01-02T03:04:05Z","cpu_stats":{"cpu_usage":{"total_usage":1}},
                "memory_stats":{"usage":5000,"stats":{"inactive_file":1,"total_inactive_file":2000}},
                "blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":5},{"op":"Total","value":5}]},
                "pids_stats":{}}"#,
        )
        .unwrap();
        assert_eq!((seen.memory_bytes, seen.read_bytes, seen.written_bytes), (3_000, Some(5), Some(0)));
        assert_eq!((seen.memory_limit_bytes, seen.received_bytes, seen.pids), (None, None, None));
        let bare = r#"{"read":"2026-01-02T03:04:05Z","cpu_stats":{},"memory_stats":{},
                "blkio_stats":{"io_service_bytes_recursive":null}}"#;
        assert_eq!(usage(bare).unwrap().read_bytes, None);
    }

    #[test]
    fn a_container_that_does_not_run_has_no_usage() {
        let stopped = r#"{"read":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        assert_eq!(usage(stopped), None);
    }
}
