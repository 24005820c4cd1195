//! Convergence on a node: desired and actual in, the next step out. Pure; the agent carries the steps out.
//!
//! One task is looked at at a time, so that nothing which one of them waits for delays another. [`converge`] is asked
//! again whenever something about the task changed: what is wanted, what was observed, how a step went, or the time that
//! it asked to be woken at. It answers at most one step; what comes after that depends on what the step comes to.
//!
//! Read in this order: this file (what is wanted, and what follows) → [`memory`] (what an agent knows of a task beyond
//! what the runtime shows) → [`step`] (what a runtime is asked, and how it went) → [`restart`] (what an end leads to) →
//! [`health`] (what probes add up to).

mod containers;
pub mod health;
mod image;
pub mod memory;
pub mod restart;
pub mod step;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use containers::Containers;
pub use health::{HealthState, ProbeOutcome};
pub use memory::{Streak, TaskMemory, Trouble};
pub use step::{Step, StepDone, StepFailure};

use crate::agent::DesiredTask;
use crate::id::TaskId;
use crate::runtime::{ContainerState, ObservedContainer};
use crate::service::StopPolicy;
use crate::task::{DesiredStatus, Exit, Failure, FailureKind, TaskReport, TaskStatus};
use crate::time::Monotonic;

/// What is wanted of a task on this node.
#[derive(Clone, Copy, Debug)]
pub enum Intent<'a> {
    /// Its container runs.
    Run(&'a DesiredTask),
    /// The control plane was not heard for longer than the task may run without it: nothing of it runs, nothing is started,
    /// and it goes on once that is heard again.
    Rest(&'a DesiredTask),
    /// Its container is stopped, and stays for its logs.
    Stop(&'a DesiredTask),
    /// Nothing of it is left. With what it was, where that is known: it is stopped as its spec says.
    Remove(Option<&'a DesiredTask>),
    /// The node lost its authority: nothing of it runs, nothing is started, nothing is said.
    Halt,
}

impl<'a> Intent<'a> {
    /// What the desired set wants of a task; one that is not in the set has no business on the node.
    #[must_use]
    pub fn of(desired: Option<&'a DesiredTask>) -> Self {
        match desired {
            None => Self::Remove(None),
            Some(task) => match task.desired {
                DesiredStatus::Running => Self::Run(task),
                DesiredStatus::Stopped => Self::Stop(task),
                DesiredStatus::Removed => Self::Remove(Some(task)),
            },
        }
    }

    /// Whether the task may be started.
    #[must_use]
    pub const fn is_run(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// All that a look at one task sees.
#[derive(Clone, Copy, Debug)]
pub struct TaskView<'a> {
    /// The task.
    pub task: TaskId,
    /// What is wanted of it.
    pub intent: Intent<'a>,
    /// Why this node does not run what the task asks for, if it does not.
    pub refusal: Option<&'a str>,
    /// Its containers on this node: those of our cluster and node, and no others.
    pub containers: &'a [ObservedContainer],
    /// What is remembered of it.
    pub memory: &'a TaskMemory,
    /// How many dead containers of it stay for their logs; 0 counts as 1.
    pub keep_dead: usize,
}

/// What one look at a task comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskPlan {
    /// What is to be remembered.
    pub memory: TaskMemory,
    /// What to do now.
    pub step: Option<Step>,
    /// Where the task is; `None` where nothing is to be said.
    pub report: Option<TaskReport>,
    /// When to look again, if nothing else happens first.
    pub look_again: Option<Monotonic>,
    /// Nothing of the task is left, and nothing more will come.
    pub finished: bool,
}

/// What to do about one task now. `random` places the wait before a restart within its jitter.
#[must_use]
pub fn converge(view: &TaskView<'_>, now: Monotonic, random: u64) -> TaskPlan {
    let mut plan =
        TaskPlan { memory: view.memory.clone(), step: None, report: None, look_again: None, finished: false };
    match view.intent {
        Intent::Run(task) => run(&mut plan, view, task, now, random),
        Intent::Rest(task) => rest(&mut plan, view, task),
        Intent::Stop(task) => stop(&mut plan, view, task, now),
        Intent::Remove(task) => remove(&mut plan, view, task, now),
        Intent::Halt => plan.step = stop_running(view.containers),
    }
    // A step that failed a moment ago is not repeated before its time, whatever asks for it.
    if let (Some(step), Some(trouble)) = (&plan.step, &plan.memory.trouble)
        && trouble.launching == step.is_launch()
        && trouble.retry_at > now
    {
        plan.step = None;
        plan.look_again = Some(trouble.retry_at);
    }
    // Nor is a stop that the runtime says is done, while the container runs all the same.
    let rests_until = plan.step.as_ref().and_then(|step| plan.memory.rests_until(step));
    if let Some(until) = rests_until.filter(|until| *until > now) {
        plan.step = None;
        plan.look_again = Some(until);
    }
    plan
}

fn run(plan: &mut TaskPlan, view: &TaskView<'_>, task: &DesiredTask, now: Monotonic, random: u64) {
    let memory = &mut plan.memory;
    memory.not_behind(task.attempt);
    if let (Some(reason), None) = (view.refusal, &memory.end) {
        memory.end = Some(failed(FailureKind::Forbidden, reason, None));
    }
    if let Some(newest) = Containers::newest_that_fits(view.containers, task, memory.attempt()) {
        memory.adopt(newest);
    }
    if memory.end.is_none() {
        let current = Containers::sort(view.containers, memory, view.keep_dead).current;
        let exit = match current.map(|container| &container.state) {
            Some(ContainerState::Exited(exit)) => Some(exit.clone()),
            None if memory.container.is_some() => Some(restart::vanished()),
            _ => None,
        };
        match exit {
            Some(exit) if memory.rested => restart::rested(memory, exit),
            Some(exit) => restart::ended(memory, &task.template.restart, exit, now, random),
            None => {}
        }
    }
    // The attempt may have moved on just now: what was current is then the dead one before it.
    let found = Containers::sort(view.containers, memory, view.keep_dead);
    let surplus_runs = found.surplus.iter().find(|container| is_running(container));
    if let Some(container) = surplus_runs {
        // Two at once would be one too many: nothing is started beside it.
        plan.step = Some(stop_one(container));
        plan.report = Some(memory.report(view.task, status_while_running(memory, found.current)));
        return;
    }
    if let Some(end) = memory.end.clone() {
        plan.step = found
            .current
            .filter(|container| is_running(container))
            .map(stop_one)
            .or_else(|| found.remove_surplus());
        plan.report = Some(memory.report(view.task, end));
        return;
    }
    let (status, step) = match found.current.map(|container| (container, &container.state)) {
        None if found.in_the_way(memory.attempt()).is_some() => {
            (Some(memory.status_before_created()), found.in_the_way(memory.attempt()))
        }
        None => match memory.restart_at.filter(|at| *at > now) {
            Some(at) => {
                plan.look_again = Some(at);
                (Some(memory.status_before_created()), found.remove_surplus())
            }
            None => {
                let step = image::next(memory, task);
                (Some(memory.status_before_created()), step)
            }
        },
        Some((container, ContainerState::Created)) => {
            (Some(TaskStatus::Created), Some(Step::Start { container: container.id.clone() }))
        }
        Some((_, ContainerState::Running { .. })) => {
            memory.runs(now);
            // An adopted task may be known as healthy: the first verdict is awaited rather than that taken back.
            let known = !memory.adopted
                || task.template.health.is_none()
                || memory.health.health != crate::task::Health::Unchecked;
            (known.then_some(TaskStatus::Running(memory.health.health)), found.remove_surplus())
        }
        // Either is on its way out: the next look sees it gone, and an attempt after it.
        Some((container, ContainerState::Dead | ContainerState::Exited(_))) => {
            (None, Some(Step::Remove { container: container.id.clone() }))
        }
    };
    plan.report = status.map(|status| memory.report(view.task, status));
    plan.step = step;
}

/// Ends what runs, by the policy that it was made with, and remembers that this was no end of its own.
fn rest(plan: &mut TaskPlan, view: &TaskView<'_>, task: &DesiredTask) {
    let memory = &mut plan.memory;
    memory.not_behind(task.attempt);
    if let Some(newest) = Containers::newest_that_fits(view.containers, task, memory.attempt()) {
        memory.adopt(newest);
    }
    memory.restart_at = None;
    plan.step = stop_running(view.containers);
    memory.rested |= plan.step.is_some();
}

fn stop(plan: &mut TaskPlan, view: &TaskView<'_>, task: &DesiredTask, now: Monotonic) {
    let memory = &mut plan.memory;
    memory.not_behind(task.attempt);
    if let Some(newest) = Containers::newest_that_fits(view.containers, task, memory.attempt()) {
        memory.adopt(newest);
    }
    memory.restart_at = None;
    if take_leave(plan, view, now) {
        return;
    }
    let memory = &mut plan.memory;
    let found = Containers::sort(view.containers, memory, view.keep_dead);
    let dead = found.current.into_iter().chain(found.previous.iter().copied());
    let exit = dead.into_iter().find_map(|container| match &container.state {
        ContainerState::Exited(exit) => Some(exit.clone()),
        _ => None,
    });
    let by_us = memory.stopped_by_us;
    let end = memory.end.get_or_insert_with(|| {
        TaskStatus::Stopped(exit.map(|exit| Exit { by_us: exit.by_us || by_us, ..exit }))
    });
    let end = end.clone();
    plan.report = Some(memory.report(view.task, end));
    plan.step = found
        .current
        .filter(|container| !matches!(container.state, ContainerState::Exited(_)))
        .map(|container| Step::Remove { container: container.id.clone() })
        .or_else(|| found.remove_surplus());
}

fn remove(plan: &mut TaskPlan, view: &TaskView<'_>, task: Option<&DesiredTask>, now: Monotonic) {
    plan.memory.restart_at = None;
    if let Some(task) = task
        && let Some(newest) = Containers::newest_that_fits(view.containers, task, plan.memory.attempt())
    {
        plan.memory.adopt(newest);
    }
    if let Some(newest) = view.containers.iter().map(|c| c.labels.attempt).max() {
        plan.memory.not_behind(newest);
    }
    if take_leave(plan, view, now) {
        if task.is_none() {
            plan.report = None; // nobody knows of it, so nobody is told
        }
        return;
    }
    let current = view.containers.iter().filter(|c| Some(&c.id) == plan.memory.container.as_ref());
    for container in current {
        if let ContainerState::Exited(exit) = &container.state {
            let by_us = exit.by_us || plan.memory.stopped_by_us;
            plan.memory.last_exit = Some(Exit { by_us, ..exit.clone() });
        }
    }
    plan.step = view.containers.first().map(|c| Step::Remove { container: c.id.clone() });
    if plan.step.is_none() {
        plan.memory.container = None;
        plan.report = Some(plan.memory.report(view.task, TaskStatus::Removed));
        plan.finished = true;
    }
}

/// Ends what runs, in the order that loses no request (M30): the task is out of discovery by now; whoever still knows the address
/// is served for the delay; then comes the signal. Answers whether something runs. Each stage is said.
fn take_leave(plan: &mut TaskPlan, view: &TaskView<'_>, now: Monotonic) -> bool {
    let Some(container) = view.containers.iter().find(|container| is_running(container)) else {
        return false;
    };
    let policy = &container.labels.stop;
    let memory = &mut plan.memory;
    let due = *memory.signal_at.get_or_insert(now + policy.delay);
    let signal = policy.signal.as_deref().unwrap_or("the image's stop signal");
    if due > now {
        // Told once, and not counted down.
        let delay = memory::seconds(policy.delay);
        memory.note = Some(format!("out of discovery; {signal} in {delay}"));
        plan.look_again = Some(due);
    } else {
        let grace = memory::seconds(policy.grace);
        memory.note = Some(format!("{signal} is sent; killed if it runs {grace} later"));
        plan.step = Some(stop_one(container));
    }
    plan.report = Some(memory.report(view.task, TaskStatus::Stopping));
    true
}

/// Stops the first container that runs.
fn stop_running(containers: &[ObservedContainer]) -> Option<Step> {
    containers.iter().find(|container| is_running(container)).map(stop_one)
}

/// Stops a container, at once, by the policy that it was made with: that outlives both the desired set and the agent.
fn stop_one(container: &ObservedContainer) -> Step {
    Step::Stop { container: container.id.clone(), policy: at_once(&container.labels.stop) }
}

/// What should not run at all is not given time to leave discovery.
fn at_once(policy: &StopPolicy) -> StopPolicy {
    StopPolicy { delay: Duration::ZERO, ..policy.clone() }
}

fn is_running(container: &ObservedContainer) -> bool {
    matches!(container.state, ContainerState::Running { .. })
}

fn status_while_running(memory: &TaskMemory, current: Option<&ObservedContainer>) -> TaskStatus {
    match current.map(|container| &container.state) {
        Some(ContainerState::Running { .. }) => TaskStatus::Running(memory.health.health),
        Some(ContainerState::Created) => TaskStatus::Created,
        _ => memory.end.clone().unwrap_or_else(|| memory.status_before_created()),
    }
}

fn failed(kind: FailureKind, reason: impl Into<String>, exit: Option<Exit>) -> TaskStatus {
    TaskStatus::Failed(Failure { kind, reason: reason.into(), exit })
}

/// One line each: what tests compare and logs show.
impl fmt::Display for TaskPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            writeln!(f, "{step}")?;
        }
        if let Some(report) = &self.report {
            write!(f, "report {}", report.status.as_str())?;
            if let Some(attempt) = report.attempt {
                write!(f, " (attempt {attempt})")?;
            }
            if let Some(note) = &report.note {
                write!(f, ": {note}")?;
            }
            writeln!(f)?;
        }
        if self.finished {
            writeln!(f, "finished")?;
        }
        Ok(())
    }
}
