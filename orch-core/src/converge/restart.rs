//! What the end of an attempt leads to: another attempt, now or later, or the end of the task.

use super::failed;
use super::memory::{TaskMemory, seconds};
use crate::service::{RestartCondition, RestartPolicy};
use crate::task::{Exit, FailureKind, TaskStatus};
use crate::time::Monotonic;

/// How a container ended that is simply not there any more.
pub(super) fn vanished() -> Exit {
    Exit { error: Some("the container vanished".to_owned()), ..Exit::default() }
}

/// The attempt ended.
///
/// An attempt that ran for the policy's `reset_after` forgives those before it. An end that is the node's own doing is
/// restarted at once and not counted.
pub(super) fn ended(
    memory: &mut TaskMemory,
    policy: &RestartPolicy,
    exit: Exit,
    now: Monotonic,
    random: u64,
) {
    let ran = memory.running_since.map(|since| now.since(since)).unwrap_or_default();
    if ran >= policy.backoff.reset_after {
        memory.failures = 0;
    }
    let counted = !std::mem::take(&mut memory.pardon);
    memory.failures = memory.failures.saturating_add(u32::from(counted));
    memory.counted_at = counted.then_some(now);
    let wanted = match policy.condition {
        RestartCondition::Always => true,
        RestartCondition::OnFailure => !exit.is_success(),
        RestartCondition::Never => false,
    };
    if !wanted {
        memory.end = Some(end_of(exit));
        return;
    }
    if policy.max_attempts.is_some_and(|most| memory.failures >= most) {
        let reason = format!("{}; gave up after {} attempts in a row", exit.describe(), memory.failures);
        memory.end = Some(failed(FailureKind::Exited, reason, Some(exit)));
        return;
    }
    let wait =
        if counted { policy.backoff.delay(memory.failures, random) } else { std::time::Duration::ZERO };
    let next = memory.attempt().next();
    let how = exit.describe();
    if wait.is_zero() {
        memory.next_attempt(exit, None, format!("restarting (attempt {next}, {how})"));
    } else {
        let note = format!("restarting in {} (attempt {next}, {how})", seconds(wait));
        memory.next_attempt(exit, Some(now + wait), note);
    }
}

/// The attempt was stopped since the control plane was not heard, which it is again: another follows, whatever the policy.
pub(super) fn rested(memory: &mut TaskMemory, exit: Exit) {
    let next = memory.attempt().next();
    let note = format!("the control plane is heard again: restarting (attempt {next})");
    memory.next_attempt(Exit { by_us: true, ..exit }, None, note);
}

fn end_of(exit: Exit) -> TaskStatus {
    if exit.is_success() {
        TaskStatus::Stopped(Some(exit))
    } else {
        failed(FailureKind::Exited, exit.describe(), Some(exit))
    }
}
