//! One look at a task: what is remembered, said and done next.

use orch_core::converge::Step;
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::task::TaskReport;

use super::Conductor;
use crate::contact::Lapse;

impl Conductor {
    pub(super) fn converge(&mut self, task: TaskId) {
        let revoked = self.goal.revoked;
        let now = self.shared.env.monotonic();
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let allowed = entry.desired.as_ref().and_then(|task| task.template.on_disconnect.stop_after());
        let heard = *self.shared.heard.borrow();
        let (lapse, lapses_at) = Lapse::of(allowed, heard, self.started, now);
        let before = std::mem::replace(&mut entry.lapse, lapse);
        if lapse == Lapse::Over && before != lapse {
            tracing::warn!(%task, "the control plane is not heard: the task is stopped until it is");
        }
        if let Some(busy) = &entry.busy
            && busy.launching
            && !entry.intent(revoked).is_run()
        {
            busy.unwanted.cancel();
        }
        if entry.is_occupied() || !self.runtime.listed {
            return;
        }
        let env = &self.shared.env;
        let mut plan = entry.plan(task, revoked, self.shared.config.keep_dead, now, env.random_u64());
        plan.look_again = plan.look_again.into_iter().chain(lapses_at).min();
        if entry.can_wait(&plan, revoked) {
            return;
        }
        let streak = plan.memory.streak();
        if streak != entry.memory.streak() {
            self.shared.streaks.send_modify(|streaks| match streak {
                Some(streak) => drop(streaks.insert(task, streak)),
                None => drop(streaks.remove(&task)),
            });
        }
        entry.memory = plan.memory;
        if let Some(at) = std::mem::replace(&mut entry.timer, plan.look_again) {
            self.timers.remove(&(at, task));
        }
        if let Some(at) = plan.look_again {
            self.timers.insert((at, task));
        }
        let prepared = entry.preparing.as_ref().map(|preparing| preparing.said().clone());
        if let Some(report) = plan.report.map(|report| TaskReport { prepared, ..report })
            && entry.said.as_ref() != Some(&report)
        {
            let status = report.status.as_str();
            if entry.said.as_ref().is_none_or(|said| said.status.as_str() != status) {
                metrics::counter!("task_state_changes_total", "status" => status).increment(1);
                tracing::debug!(%task, status, note = report.note.as_deref(), "task");
            }
            entry.said = Some(report.clone());
            self.shared.outbox.push(report);
        }
        if plan.finished && entry.desired.is_none() {
            self.tasks.remove(&task);
            self.shared.streaks.send_if_modified(|streaks| streaks.remove(&task).is_some());
            return;
        }
        if !matches!(plan.step, Some(Step::Start { .. })) {
            entry.launch = None;
        }
        self.ensure_probed(task);
        if let Some(step) = plan.step
            && self.runtime.reachable
        {
            self.perform(task, step);
        }
    }
}
