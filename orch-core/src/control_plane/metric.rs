//! Metrics, by the names of the contract.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::cluster::{Change, Cluster, Transaction};
use crate::deployment::DeploymentStatus;
use crate::env::SharedEnv;
use crate::identity::Action;
use crate::schedule::{Problem, Scheduler, Solution};
use crate::task::TaskStatus;

/// The parts that the contract knows as controllers. Here one task is them all.
const CONTROLLERS: [&str; 4] = ["scheduler", "reconciler", "rollout", "node-monitor"];

pub(super) fn leader_status(leads: f64) {
    for controller in CONTROLLERS {
        gauge!("controller_leader_status", "controller" => controller).set(leads);
    }
}

pub(super) fn decision_panicked(action: Action) {
    counter!("decision_panics_total", "action" => action.as_str()).increment(1);
}

pub(super) fn committed(transactions: usize, took: Duration) {
    histogram!("commit_group_transactions").record(u32::try_from(transactions).map_or(f64::MAX, f64::from));
    histogram!("commit_duration_seconds").record(took.as_secs_f64());
}

pub(super) fn commit_failed(outcome: &'static str) {
    counter!("commit_failures_total", "outcome" => outcome).increment(1);
}

pub(super) fn reconciled(took: Duration, failed: bool) {
    counter!("reconciler_runs_total").increment(1);
    counter!("reconciler_errors_total").increment(u64::from(failed));
    histogram!("reconciler_duration_seconds").record(took.as_secs_f64());
}

pub(super) fn agent_refused(reason: &'static str) {
    counter!("agent_auth_failures_total", "reason" => reason).increment(1);
}

/// Counts what a transaction did. `before`: the image in front of it.
pub(super) fn applied(before: &Cluster, transaction: &Transaction) {
    for change in &transaction.changes {
        match change {
            Change::Task(row) => {
                let old = before.task(row.id);
                if old.is_none() {
                    counter!("tasks_created_total").increment(1);
                }
                let failed = |status: &TaskStatus| matches!(status, TaskStatus::Failed(_));
                if failed(&row.status) && old.is_none_or(|old| !failed(&old.status)) {
                    counter!("tasks_failed_total").increment(1);
                }
            }
            Change::Deployment(row) => {
                let old = before.deployment(row.id);
                if old.is_none() && row.from_version.is_some() {
                    counter!("rollouts_total").increment(1);
                }
                let failed = row.status == DeploymentStatus::Failed;
                if failed && old.is_none_or(|old| old.status != DeploymentStatus::Failed) {
                    counter!("rollout_failures_total").increment(1);
                }
            }
            _ => {}
        }
    }
}

/// A scheduler whose runs are counted and timed.
#[derive(Clone)]
pub(super) struct Measured {
    pub(super) scheduler: Arc<dyn Scheduler>,
    pub(super) env: SharedEnv,
}

impl std::fmt::Debug for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.scheduler.fmt(f)
    }
}

impl Scheduler for Measured {
    fn solve(&self, problem: &Problem<'_>) -> Solution {
        let began = self.env.monotonic();
        let solution = self.scheduler.solve(problem);
        histogram!("scheduler_duration_seconds").record(self.env.monotonic().since(began).as_secs_f64());
        let placed = solution.placements.len() as u64;
        counter!("scheduler_runs_total").increment(1);
        counter!("scheduler_scheduling_attempts_total").increment(u64::from(problem.count));
        counter!("scheduler_tasks_claimed_total").increment(placed);
        counter!("scheduler_scheduling_failures_total")
            .increment(u64::from(problem.count).saturating_sub(placed));
        solution
    }
}

/// So that counters that stay at zero are there from the start.
pub(super) fn describe() {
    for name in [
        "scheduler_runs_total",
        "scheduler_errors_total",
        "scheduler_scheduling_attempts_total",
        "scheduler_scheduling_failures_total",
        "scheduler_tasks_claimed_total",
        "scheduler_assignment_conflicts_total",
        "reconciler_runs_total",
        "reconciler_errors_total",
        "tasks_created_total",
        "tasks_failed_total",
        "rollouts_total",
        "rollout_failures_total",
    ] {
        counter!(name).increment(0);
    }
}
