//! Probes of the containers that run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use orch_core::converge::ProbeOutcome;
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::runtime::ContainerId;
use orch_core::service::Probe;

use super::{Conductor, Job};
use crate::exec_check;
use crate::probe::ProbeTarget;

impl Conductor {
    pub(super) fn ensure_probed(&mut self, task: TaskId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let Some((container, _)) = entry.check() else {
            entry.probing = None;
            return;
        };
        if entry.probing.as_ref() != Some(container) {
            entry.probing = Some(container.clone());
            self.probe(task, Duration::ZERO);
        }
    }

    /// Probes the task's running container after a while.
    pub(super) fn probe(&mut self, task: TaskId, wait: Duration) {
        let Some(entry) = self.tasks.get(&task) else { return };
        let (Some(desired), Some((container, check))) = (entry.desired.as_deref(), entry.check()) else {
            return;
        };
        let container = container.clone();
        let ask: BoxFuture<'static, ProbeOutcome> = if let Probe::Exec { command } = &check.probe {
            let (shared, places) = (Arc::clone(&self.shared), Arc::clone(&self.checks));
            Box::pin(exec_check::run(shared, places, container.clone(), command.clone(), check.timeout))
        } else {
            let target = ProbeTarget::of(check, &desired.ports, self.shared.config.probe_address);
            let prober = Arc::clone(&self.shared.prober);
            Box::pin(async move {
                match target {
                    Some(target) => prober.probe(&target).await,
                    None => ProbeOutcome::Unknown("the port of the health check is not published".to_owned()),
                }
            })
        };
        let sleep = self.shared.env.sleep(wait);
        self.jobs.push(Box::pin(async move {
            sleep.await;
            Job::Probed { task, container, outcome: ask.await }
        }));
    }

    pub(super) fn take_probed(&mut self, task: TaskId, container: &ContainerId, outcome: &ProbeOutcome) {
        match outcome {
            ProbeOutcome::Success => metrics::counter!("healthcheck_success_total").increment(1),
            ProbeOutcome::Failure(_) => metrics::counter!("healthcheck_failure_total").increment(1),
            ProbeOutcome::Unknown(_) => {}
        }
        let now = self.shared.env.monotonic();
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let Some(check) = entry.check().filter(|(current, _)| *current == container) else {
            if entry.probing.as_ref() == Some(container) {
                entry.probing = None;
            }
            self.queue.insert(task);
            return;
        };
        let check = check.1.clone();
        let age = entry.memory.running_since.map_or(Duration::ZERO, |since| now.since(since));
        entry.memory.health.observe(&check, outcome, age, now);
        let wait = entry.memory.health.wait(&check);
        self.queue.insert(task);
        self.probe(task, wait);
    }
}
