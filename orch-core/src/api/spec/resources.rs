//! What is reserved, and what may be used at most.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parse::invalid;
use crate::api::{Cpu, Memory, Resources, is_false};
use crate::command::{FieldPath, Rejection};
use crate::service::Defaulted;

/// What a task has where its spec says nothing: 100 millicores, 128 MiB.
const DEFAULT_RESOURCES: Resources = Resources { cpu: Cpu(100), memory: Memory(128 << 20) };

/// Reserved and allowed. What is left out follows from the other, or is 100 millicores and 128 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceRequirements {
    /// What the scheduler reserves.
    pub requests: Resources,
    /// What the engine lets it use at most.
    pub limits: Resources,
    /// A request was filled in, since nobody stated it; the server's to say.
    #[serde(skip_serializing_if = "is_false")]
    pub requests_defaulted: bool,
    /// A limit was filled in, since nobody stated it; the server's to say.
    #[serde(skip_serializing_if = "is_false")]
    pub limits_defaulted: bool,
}

impl ResourceRequirements {
    /// What is not stated.
    pub(super) fn defaulted(&self) -> Defaulted {
        let missing = |resources: Resources| resources.cpu.0 == 0 || resources.memory.0 == 0;
        Defaulted {
            requests: self.requests_defaulted || missing(self.requests),
            limits: self.limits_defaulted || missing(self.limits),
        }
    }

    /// Requests and limits, filled in per field: a limit left out follows a request above the default, a request left out
    /// stays below a limit under it.
    pub(super) fn parse(&self, at: &FieldPath) -> Result<(Resources, Resources), Rejection> {
        let fill = |request: u64, limit: u64, default: u64| match (request, limit) {
            (0, 0) => (default, default),
            (0, limit) => (default.min(limit), limit),
            (request, 0) => (request, default.max(request)),
            given => given,
        };
        let (asked, most) = (self.requests, self.limits);
        let cpu = fill(asked.cpu.0, most.cpu.0, DEFAULT_RESOURCES.cpu.0);
        let memory = fill(asked.memory.0, most.memory.0, DEFAULT_RESOURCES.memory.0);
        for (field, (request, limit)) in [("cpu", cpu), ("memory", memory)] {
            if request > limit {
                let problem = format!("{request} is above its limit of {limit}");
                return Err(invalid(&at.field("requests"), field, problem, "at most the limit"));
            }
            if i64::try_from(limit).is_err() {
                return Err(invalid(&at.field("limits"), field, "too large", "less than 2^63"));
            }
        }
        let pair = |cpu, memory| Resources { cpu: Cpu(cpu), memory: Memory(memory) };
        Ok((pair(cpu.0, memory.0), pair(cpu.1, memory.1)))
    }
}
