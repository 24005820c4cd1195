//! What follows an exit, and how one version replaces another.

use orch_core::api::spec::{
    Autoscaling, Backoff, MAX_REPLICAS, OnDisconnect, OnFailure, RestartCondition, RestartPolicy, Rollout,
};

use super::within;
use crate::deploy_file::node::Value;
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn restart(r: &mut Reader, field: &Field<'_>) -> RestartPolicy {
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

/// `keep`, `{replaceAfter: 5m}` or `{stopAfter: 30s}`.
pub(super) fn on_disconnect(r: &mut Reader, field: &Field<'_>) -> Option<OnDisconnect> {
    const AT: &str = "on_disconnect";
    r.place(AT, field);
    if matches!(field.node.value, Value::Scalar { .. }) {
        return r.word(field, &[("keep", OnDisconnect::Keep)]);
    }
    let f = r.fields(field, &["replace_after", "stop_after"]);
    let mut after = |name: &str| within(r, &f, &[name], &format!("{AT}.{name}"), Reader::duration);
    match (after("replace_after"), after("stop_after")) {
        (Some(after), None) => Some(OnDisconnect::ReplaceAfter(after)),
        (None, Some(after)) => Some(OnDisconnect::StopAfter(after)),
        _ => {
            r.wrong(field, "expected `keep`, or one of `replaceAfter` and `stopAfter`");
            None
        }
    }
}

pub(super) fn rollout(r: &mut Reader, field: &Field<'_>) -> Rollout {
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

pub(super) fn autoscaling(r: &mut Reader, field: &Field<'_>) -> Autoscaling {
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
