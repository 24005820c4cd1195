//! What tasks use, measured when it is asked for; nothing of it is stored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse_id;
use crate::command::Rejection;
use crate::id::{ServiceId, TaskId};
use crate::runtime::Usage;
use crate::task::Attempt;

/// Whose usage. The task wins over the service; neither: all running tasks of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct StatsQuery {
    /// The running tasks of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// This task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
}

/// Whose usage, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsOf {
    /// All running tasks of the permit's namespace.
    Namespace,
    /// The running tasks of a service.
    Service(ServiceId),
    /// One task.
    Task(TaskId),
}

impl StatsQuery {
    /// Whose usage is asked for.
    ///
    /// # Errors
    /// An id is none.
    pub fn parse(&self) -> Result<StatsOf, Rejection> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(match (given(&self.task_id), given(&self.service_id)) {
            (Some(task), _) => StatsOf::Task(parse_id(&task, "task_id")?),
            (None, Some(service)) => StatsOf::Service(parse_id(&service, "service_id")?),
            (None, None) => StatsOf::Namespace,
        })
    }
}

/// What `GET /v1/stats` answers.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct StatsAnswer {
    /// By service, then replica.
    pub stats: Vec<TaskStats>,
}

/// One task, and what it uses or why nobody knows.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskStats {
    /// The task.
    pub task_id: String,
    /// Its service.
    pub service_id: String,
    /// The service's name.
    pub service: String,
    /// Its place in the service: from 1.
    pub slot: u32,
    /// The name of the node it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TaskUsage>,
    /// Why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a task's container uses. What its runtime cannot tell is left out.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskUsage {
    /// Which attempt was measured.
    pub attempt: u32,
    /// Over how long rates were measured, in milliseconds.
    pub interval_ms: u64,
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes held, without what the kernel can take back.
    pub memory_bytes: u64,
    /// Bytes it may hold; without a limit of its own, what the node has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Over its networks, in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_received: Option<Flow>,
    /// Over its networks, out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_sent: Option<Flow>,
    /// From disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_read: Option<Flow>,
    /// To disks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_written: Option<Flow>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
}

/// Bytes that flowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Flow {
    /// Since the container's start.
    pub bytes: u64,
    /// Now.
    pub bytes_per_second: u64,
}

impl TaskUsage {
    /// From two measurements of one container. A counter that went back counts as one that stood still.
    #[must_use]
    pub fn between(attempt: Attempt, before: &Usage, after: &Usage) -> Self {
        let interval = after.at.since(before.at);
        let micros = interval.as_micros();
        let per_second = |amount: u128| match micros {
            0 => 0,
            micros => u64::try_from(amount * 1_000_000 / micros).unwrap_or(u64::MAX),
        };
        let flow = |before: Option<u64>, after: Option<u64>| {
            let bytes = after?;
            let flown = bytes.saturating_sub(before.unwrap_or(bytes));
            Some(Flow { bytes, bytes_per_second: per_second(flown.into()) })
        };
        let cpu = after.cpu.saturating_sub(before.cpu);
        Self {
            attempt: attempt.0,
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            // A microsecond on a processor is a thousandth of a core for a millisecond.
            cpu_millis: per_second(cpu.as_micros()) / 1_000,
            memory_bytes: after.memory_bytes,
            memory_limit_bytes: after.memory_limit_bytes,
            network_received: flow(before.received_bytes, after.received_bytes),
            network_sent: flow(before.sent_bytes, after.sent_bytes),
            disk_read: flow(before.read_bytes, after.read_bytes),
            disk_written: flow(before.written_bytes, after.written_bytes),
            pids: after.pids,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::Timestamp;

    fn usage(at_ms: i64, cpu_ms: u64, received: u64) -> Usage {
        Usage {
            at: Timestamp::from_micros(at_ms * 1_000),
            cpu: Duration::from_millis(cpu_ms),
            memory_bytes: 7,
            received_bytes: Some(received),
            ..Usage::default()
        }
    }

    #[test]
    fn rates_are_by_the_runtimes_own_clock() {
        let seen = TaskUsage::between(Attempt(3), &usage(1_000, 100, 50), &usage(1_500, 850, 550));
        assert_eq!(
            (seen.attempt, seen.interval_ms, seen.cpu_millis),
            (3, 500, 1_500),
            "one and a half cores"
        );
        assert_eq!(seen.network_received, Some(Flow { bytes: 550, bytes_per_second: 1_000 }));
        assert_eq!((seen.memory_bytes, seen.network_sent, seen.pids), (7, None, None));
    }

    #[test]
    fn no_time_and_counters_that_go_back_make_no_rate() {
        for (before, after) in [(usage(5, 1, 1), usage(5, 9, 9)), (usage(1, 9, 9), usage(500, 1, 1))] {
            let seen = TaskUsage::between(Attempt(1), &before, &after);
            assert_eq!(seen.cpu_millis, 0);
            assert_eq!(seen.network_received.map(|flow| flow.bytes_per_second), Some(0));
        }
    }

    #[test]
    fn the_task_wins_over_the_service_and_nothing_is_everything() {
        let id = "00000000-0000-4000-8000-000000000001".to_owned();
        let query = StatsQuery { service_id: Some(id.clone()), task_id: Some(id) };
        assert!(matches!(query.parse(), Ok(StatsOf::Task(_))));
        assert!(matches!(StatsQuery { task_id: None, ..query }.parse(), Ok(StatsOf::Service(_))));
        assert!(matches!(StatsQuery::default().parse(), Ok(StatsOf::Namespace)));
        assert!(StatsQuery { task_id: Some("x".to_owned()), ..StatsQuery::default() }.parse().is_err());
    }
}
