//! What follows an exit, and how one version replaces another.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_zero;
use super::parse::invalid;
use crate::api::Nanos;
use crate::api::word::words;
use crate::command::{FieldPath, Rejection};
use crate::deployment::{self, RolloutPolicy};
use crate::service;

words! {
    /// What happens when a rollout fails.
    OnFailure is deployment::OnFailure {
        /// Go back to the version before.
        Rollback = "rollback",
        /// Stay, and wait for a person.
        Pause = "pause",
    }
}

/// What becomes of a task while its node is not heard: `"keep"`, `{"replace_after": …}` or `{"stop_after": …}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Another takes its place once its node is offline for so long, at most 30 days; 0 is the default.
    ReplaceAfter(Nanos),
    /// The agent stops it after so long without an answer of the control plane, 10 s to 30 days; then another takes its place.
    StopAfter(Nanos),
    /// Nothing takes its place.
    Keep,
}

impl OnDisconnect {
    pub(super) fn parse(self, at: &FieldPath) -> Result<service::OnDisconnect, Rejection> {
        use service::disconnect::{LEAST_STOP_AFTER, MOST_AFTER};
        let within = |field: &str, after: Nanos, least: Duration| {
            let after = Duration::from_nanos(after.0);
            if after > MOST_AFTER {
                return Err(invalid(at, field, "too long", "at most 30 days"));
            }
            if after < least {
                let expected = format!("at least {} s", least.as_secs());
                return Err(invalid(at, field, "too short: lost heartbeats alone would stop it", expected));
            }
            Ok(after)
        };
        Ok(match self {
            Self::ReplaceAfter(after) => {
                service::OnDisconnect::ReplaceAfter(within("replace_after", after, Duration::ZERO)?)
            }
            Self::StopAfter(after) => {
                service::OnDisconnect::StopAfter(within("stop_after", after, LEAST_STOP_AFTER)?)
            }
            Self::Keep => service::OnDisconnect::Keep,
        })
    }
}

impl From<service::OnDisconnect> for OnDisconnect {
    fn from(policy: service::OnDisconnect) -> Self {
        match policy {
            service::OnDisconnect::ReplaceAfter(after) => Self::ReplaceAfter(after.into()),
            service::OnDisconnect::StopAfter(after) => Self::StopAfter(after.into()),
            service::OnDisconnect::Keep => Self::Keep,
        }
    }
}

/// What the agent does when a container exits.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// After which exits.
    pub condition: RestartCondition,
    /// Attempts in a row, first start included; 0: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_attempts: u32,
    /// The wait before attempt after attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// Exponential back-off; 0 stands for the default of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// Before the second restart in a row; 0: 1 s.
    pub initial: Nanos,
    /// The longest wait; 0: 60 s.
    pub max: Nanos,
    /// Running this long forgives what was before; 0: 10 s.
    pub reset_after: Nanos,
}

/// After which exits another attempt is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartCondition {
    /// Not said: always.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// After any.
    Always,
    /// After an exit other than 0.
    #[serde(alias = "on-failure")]
    OnFailure,
    /// Never.
    Never,
}

/// How one version replaces another; what is left out has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// How many replicas may be missing because of a rollout or drain; left out: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<u32>,
    /// How many tasks there may be above the replica count; left out: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<u32>,
    /// How long a task without a health check must run to count as healthy; left out: 5 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<Nanos>,
    /// How long the whole may take; left out: 10 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Nanos>,
    /// What a failure does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

impl RestartPolicy {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<service::RestartPolicy, Rejection> {
        Ok(service::RestartPolicy {
            condition: match self.condition {
                RestartCondition::Unset | RestartCondition::Always => service::RestartCondition::Always,
                RestartCondition::OnFailure => service::RestartCondition::OnFailure,
                RestartCondition::Never => service::RestartCondition::Never,
            },
            max_attempts: (self.max_attempts > 0).then_some(self.max_attempts),
            backoff: self.backoff.unwrap_or_default().parse(&at.field("backoff"))?,
        })
    }
}

impl Backoff {
    pub(super) fn parse(self, at: &FieldPath) -> Result<service::Backoff, Rejection> {
        let default = service::Backoff::default();
        let backoff = service::Backoff {
            initial: self.initial.or(default.initial),
            max: self.max.or(default.max),
            reset_after: self.reset_after.or(default.reset_after),
        };
        if backoff.initial > backoff.max {
            return Err(invalid(at, "initial", "longer than `max`", "at most `max`"));
        }
        Ok(backoff)
    }
}

impl Rollout {
    pub(super) fn parse(&self, at: &FieldPath) -> Result<RolloutPolicy, Rejection> {
        let default = RolloutPolicy::default();
        let policy = RolloutPolicy {
            max_unavailable: self.max_unavailable.unwrap_or(default.max_unavailable),
            max_surge: self.max_surge.unwrap_or(default.max_surge),
            min_healthy: self.min_healthy.map_or(default.min_healthy, |nanos| Duration::from_nanos(nanos.0)),
            deadline: self.deadline.map_or(default.deadline, |nanos| nanos.or(default.deadline)),
            on_failure: self.on_failure.map_or(default.on_failure, Into::into),
        };
        if policy.max_unavailable == 0 && policy.max_surge == 0 {
            let problem = "0 together with `max_unavailable` 0 leaves no room for a rollout";
            return Err(invalid(at, "max_surge", problem, "at least 1, or `max_unavailable` at least 1"));
        }
        if policy.min_healthy >= policy.deadline {
            return Err(invalid(at, "min_healthy", "not shorter than `deadline`", "shorter than `deadline`"));
        }
        Ok(policy)
    }
}

impl From<&service::RestartPolicy> for RestartPolicy {
    fn from(policy: &service::RestartPolicy) -> Self {
        Self {
            condition: match policy.condition {
                service::RestartCondition::Always => RestartCondition::Always,
                service::RestartCondition::OnFailure => RestartCondition::OnFailure,
                service::RestartCondition::Never => RestartCondition::Never,
            },
            max_attempts: policy.max_attempts.unwrap_or(0),
            backoff: Some(Backoff {
                initial: policy.backoff.initial.into(),
                max: policy.backoff.max.into(),
                reset_after: policy.backoff.reset_after.into(),
            }),
        }
    }
}

impl From<&RolloutPolicy> for Rollout {
    fn from(policy: &RolloutPolicy) -> Self {
        Self {
            max_unavailable: Some(policy.max_unavailable),
            max_surge: Some(policy.max_surge),
            min_healthy: Some(policy.min_healthy.into()),
            deadline: Some(policy.deadline.into()),
            on_failure: Some(policy.on_failure.into()),
        }
    }
}
