//! The conductor: brings what runs on the node to what should, one state machine a task, all of them in parallel.
//!
//! It alone knows what is on the node. It never waits for a runtime: every call is a job beside it, and what a job comes
//! to is taken in like any other event. So one slow pull or stop delays nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use orch_core::converge::{ProbeOutcome, Step, StepFailure, TaskMemory};
use orch_core::env::EnvExt as _;
use orch_core::id::TaskId;
use orch_core::runtime::{
    ContainerEvent, ContainerId, ContainerState, ObservedContainer, Owner, RuntimeError, RuntimeEvent,
};
use orch_core::service::Probe;
use orch_core::time::Monotonic;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::entry::{Busy, Entry, Heard};
use crate::exec_check;
use crate::probe::ProbeTarget;
use crate::pull::Pulls;
use crate::retry::{Retry, chain};
use crate::shared::{Goal, Shared};
use crate::steps::{Work, Worked};

/// How often what a pull has come to is told.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);
/// How long what became known of an end is waited for, where nothing is urgent.
const DETAILS_WITHIN: Duration = Duration::from_secs(5);
/// An engine that is stopped ends its containers before it falls silent: no longer before, by its own limits.
const ENGINE_STOP: Duration = Duration::from_secs(20);
/// What is told of a task's containers during one step, at most; beyond, they are looked at.
const TOLD: usize = 32;

/// What comes back from the work beside the conductor.
enum Job {
    Worked(Worked),
    Listed {
        begun: u64,
        found: Result<Vec<ObservedContainer>, RuntimeError>,
    },
    Seen {
        task: Option<TaskId>,
        container: ContainerId,
        begun: u64,
        found: Result<Option<ObservedContainer>, RuntimeError>,
    },
    Detailed {
        task: TaskId,
        container: ContainerId,
        /// `None`: not in time.
        found: Option<Result<Option<ObservedContainer>, RuntimeError>>,
    },
    Probed {
        task: TaskId,
        container: ContainerId,
        outcome: ProbeOutcome,
    },
    LookAtPulls,
}

pub(crate) struct Conductor {
    shared: Arc<Shared>,
    pulls: Arc<Pulls>,
    launches: Arc<Semaphore>,
    /// Places of commands of health checks.
    checks: Arc<Semaphore>,
    goal: Goal,
    /// Whose containers are ours; `None` until the node was told once.
    owner: Option<Owner>,
    tasks: BTreeMap<TaskId, Entry>,
    /// To be looked at now.
    queue: BTreeSet<TaskId>,
    timers: BTreeSet<(Monotonic, TaskId)>,
    jobs: FuturesUnordered<BoxFuture<'static, Job>>,
    events: BoxStream<'static, RuntimeEvent>,
    /// Counts what happens, to tell what was seen before a step from what was seen after it.
    tick: u64,
    runtime: RuntimeView,
    looks_at_pulls: bool,
}

/// What is known of the runtime as a whole.
struct RuntimeView {
    reachable: bool,
    /// Our containers were listed at least once.
    listed: bool,
    listing: bool,
    list_at: Monotonic,
    /// It was away since it was listed last: what ended meanwhile is its doing, not the tasks'.
    was_away: bool,
    retry: Retry,
}

impl Conductor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let config = &shared.config;
        let pulls = Arc::new(Pulls::new(Arc::clone(&shared.runtime), config.pull_concurrency));
        let launches = Arc::new(Semaphore::new(config.start_concurrency.max(1)));
        let runtime = RuntimeView {
            reachable: true,
            listed: false,
            listing: false,
            list_at: shared.env.monotonic(),
            was_away: false,
            retry: Retry::new("listing containers"),
        };
        Self {
            pulls,
            launches,
            checks: Arc::new(Semaphore::new(exec_check::CONCURRENT)),
            goal: Goal::default(),
            owner: None,
            tasks: BTreeMap::new(),
            queue: BTreeSet::new(),
            timers: BTreeSet::new(),
            jobs: FuturesUnordered::new(),
            events: futures_util::stream::pending().boxed(),
            tick: 0,
            runtime,
            looks_at_pulls: false,
            shared,
        }
    }

    /// Converges for ever. Dropping it abandons what is under way: the next one finds out by listing.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut goals = shared.goal.subscribe();
        goals.mark_changed();
        let mut sessions = shared.session.subscribe();
        loop {
            self.tick += 1;
            while let Some(task) = self.queue.pop_first() {
                self.converge(task);
            }
            let wake = self.wake_at();
            let sleep = async {
                match wake {
                    Some(at) => shared.env.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { // every branch is cancel-safe
                biased;
                Ok(()) = goals.changed() => {
                    let goal = goals.borrow_and_update().clone();
                    self.take_goal(goal);
                }
                Ok(()) = sessions.changed() => {
                    if sessions.borrow_and_update().is_some() {
                        self.say_all_again();
                    }
                }
                Some(job) = self.jobs.next(), if !self.jobs.is_empty() => self.take_job(job),
                Some(event) = self.events.next() => self.take_event(event),
                () = sleep => self.take_time(),
            }
        }
    }

    // ── what is wanted ──

    fn take_goal(&mut self, goal: Goal) {
        let revoked = goal.revoked != self.goal.revoked;
        self.goal = goal;
        let Some(desired) = self.goal.desired.clone() else { return };
        let owner = Owner { cluster: desired.version.cluster, node: desired.node };
        if self.owner != Some(owner) {
            self.become_owner(owner);
        }
        let mut gone: BTreeSet<TaskId> = self.tasks.keys().copied().collect();
        for task in &desired.tasks {
            gone.remove(&task.id);
            let entry = self.tasks.entry(task.id).or_insert_with(|| remembered(&self.shared, task.id));
            if entry.desired.as_deref() != Some(task) {
                entry.refusal = self.shared.config.policy.refuses(&task.template.security);
                entry.desired = Some(Arc::new(task.clone()));
                self.queue.insert(task.id);
            }
        }
        for task in gone {
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.desired = None;
                self.queue.insert(task);
            }
        }
        if revoked {
            self.queue.extend(self.tasks.keys());
        }
    }

    /// The node is one of a cluster, for the first time or of another than before. Others' containers are left alone.
    fn become_owner(&mut self, owner: Owner) {
        self.owner = Some(owner);
        self.tasks.clear();
        self.queue.clear();
        self.timers.clear();
        self.jobs.clear();
        self.looks_at_pulls = false;
        // Listen first, then list: what happens in between is seen by one of the two.
        self.events = self.shared.runtime.events(&owner);
        self.runtime.listed = false;
        self.runtime.listing = false;
        self.list();
    }

    /// A new registration: it may know less than the one before.
    fn say_all_again(&mut self) {
        for (task, entry) in &mut self.tasks {
            entry.said = None;
            self.queue.insert(*task);
        }
    }

    // ── what is decided ──

    fn converge(&mut self, task: TaskId) {
        let revoked = self.goal.revoked;
        let Some(entry) = self.tasks.get_mut(&task) else { return };
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
        let plan = entry.plan(task, revoked, env.monotonic(), env.random_u64());
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
        if let Some(report) = plan.report
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

    // ── what is done ──

    fn perform(&mut self, task: TaskId, step: Step) {
        let (Some(owner), Some(entry)) = (self.owner, self.tasks.get_mut(&task)) else { return };
        let unwanted = CancellationToken::new();
        entry.busy = Some(Busy { launching: step.is_launch(), unwanted: unwanted.clone() });
        if matches!(step, Step::Pull { .. }) && !self.looks_at_pulls {
            self.looks_at_pulls = true;
            let sleep = self.shared.env.sleep(PROGRESS_INTERVAL);
            self.jobs.push(Box::pin(async move {
                sleep.await;
                Job::LookAtPulls
            }));
        }
        tracing::debug!(%task, %step, "step");
        let work = Work {
            shared: Arc::clone(&self.shared),
            pulls: Arc::clone(&self.pulls),
            launches: Arc::clone(&self.launches),
            owner,
            task,
            desired: entry.desired.clone(),
            step,
            launch: entry.launch.take(),
            unwanted,
        };
        self.jobs.push(Box::pin(async move { Job::Worked(work.run().await) }));
    }

    fn look(&mut self, task: Option<TaskId>, container: ContainerId) {
        if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
            if entry.busy.is_some() {
                entry.dirty.insert(container);
                return;
            }
            entry.looking += 1;
        }
        let (runtime, begun) = (Arc::clone(&self.shared.runtime), self.tick);
        self.jobs.push(Box::pin(async move {
            let found = runtime.inspect(&container).await;
            Job::Seen { task, container, begun, found }
        }));
    }

    /// Asks how a container ended. Unlike a look, nothing waits for that but what is not urgent.
    fn ask_details(&mut self, task: TaskId, container: ContainerId) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        if !entry.unsure.insert(container.clone()) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.jobs.push(Box::pin(async move {
            let found = tokio::select! {
                biased;
                found = shared.runtime.inspect(&container) => Some(found),
                () = shared.env.sleep(DETAILS_WITHIN) => None,
            };
            Job::Detailed { task, container, found }
        }));
    }

    fn list(&mut self) {
        let Some(owner) = self.owner else { return };
        if std::mem::replace(&mut self.runtime.listing, true) {
            return;
        }
        let (runtime, begun) = (Arc::clone(&self.shared.runtime), self.tick);
        self.jobs.push(Box::pin(async move { Job::Listed { begun, found: runtime.list(&owner).await } }));
    }

    fn ensure_probed(&mut self, task: TaskId) {
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
    fn probe(&mut self, task: TaskId, wait: Duration) {
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

    // ── what happens ──

    fn take_job(&mut self, job: Job) {
        match job {
            Job::Worked(worked) => self.take_worked(worked),
            Job::Listed { begun, found } => self.take_list(begun, found),
            Job::Seen { task, container, begun, found } => self.take_seen(task, container, begun, found),
            Job::Detailed { task, container, found } => self.take_details(task, &container, found),
            Job::Probed { task, container, outcome } => self.take_probed(task, &container, &outcome),
            Job::LookAtPulls => self.look_at_pulls(),
        }
    }

    fn take_worked(&mut self, worked: Worked) {
        let Worked { task, step, outcome, launch } = worked;
        let (Some(owner), Some(entry)) = (self.owner, self.tasks.get_mut(&task)) else { return };
        entry.busy = None;
        entry.changed_at = self.tick;
        entry.launch = launch;
        self.queue.insert(task);
        let mut unreachable = None;
        if let Some(outcome) = outcome {
            let env = &self.shared.env;
            entry.memory.after(&step, outcome.as_ref(), env.monotonic(), env.random_u64());
            if let Err(failure) = &outcome {
                tracing::debug!(%task, %step, ?failure, "step failed");
                if let StepFailure::Unreachable { message } = failure {
                    unreachable = Some(message.clone());
                }
            }
            if let Some(container) = entry.after(owner, &step, &outcome, env.now())
                && unreachable.is_none()
            {
                entry.dirty.insert(container);
            }
        }
        for event in std::mem::take(&mut entry.told) {
            self.hear(task, &event);
        }
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        let dirty = std::mem::take(&mut entry.dirty);
        for container in dirty {
            self.look(Some(task), container);
        }
        if let Some(why) = unreachable {
            self.runtime_is_away(&why);
        }
    }

    fn take_seen(
        &mut self,
        task: Option<TaskId>,
        container: ContainerId,
        begun: u64,
        found: Result<Option<ObservedContainer>, RuntimeError>,
    ) {
        if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
            entry.looking = entry.looking.saturating_sub(1);
        }
        self.queue.extend(task);
        match found {
            Ok(Some(seen)) => {
                let owner = Owner { cluster: seen.labels.cluster, node: seen.labels.node };
                if self.owner != Some(owner) {
                    return;
                }
                let task = seen.labels.task;
                let entry = self.tasks.entry(task).or_insert_with(|| remembered(&self.shared, task));
                if entry.busy.is_some() || entry.changed_at > begun {
                    self.look(Some(task), container); // a step changed it meanwhile
                } else {
                    entry.observe(seen);
                    self.queue.insert(task);
                }
            }
            Ok(None) => {
                if let Some(entry) = task.and_then(|task| self.tasks.get_mut(&task)) {
                    entry.is_gone(&container);
                }
            }
            Err(RuntimeError::Unreachable(why)) => self.runtime_is_away(&why.to_string()),
            Err(error) => {
                tracing::debug!(%container, error = %chain(&error), "a container could not be looked at");
                self.list_soon();
            }
        }
    }

    fn take_details(
        &mut self,
        task: TaskId,
        container: &ContainerId,
        found: Option<Result<Option<ObservedContainer>, RuntimeError>>,
    ) {
        let Some(entry) = self.tasks.get_mut(&task) else { return };
        match found {
            Some(Err(RuntimeError::Unreachable(why))) => {
                // It stays unsure: whether the engine's going away was its end is told by the list that follows.
                return self.runtime_is_away(&why.to_string());
            }
            Some(Ok(Some(seen))) if !entry.refine(&seen) => self.look(Some(task), container.clone()),
            Some(Ok(_) | Err(_)) | None => {}
        }
        if let Some(entry) = self.tasks.get_mut(&task) {
            entry.unsure.remove(container);
            self.queue.insert(task);
        }
    }

    fn take_list(&mut self, begun: u64, found: Result<Vec<ObservedContainer>, RuntimeError>) {
        self.runtime.listing = false;
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.set_reachable(false, Some(&chain(&error)));
                let wait = self.runtime.retry.failed(&self.shared.env, &error, None);
                self.runtime.list_at = self.shared.env.monotonic() + wait;
                return;
            }
        };
        self.runtime.retry.worked();
        self.set_reachable(true, None);
        self.runtime.list_at = self.shared.env.monotonic() + self.shared.config.sweep_interval;
        let pardon = std::mem::take(&mut self.runtime.was_away);
        let first = !std::mem::replace(&mut self.runtime.listed, true);
        let mut by_task: BTreeMap<TaskId, Vec<ObservedContainer>> = BTreeMap::new();
        for container in found {
            by_task.entry(container.labels.task).or_default().push(container);
        }
        for task in by_task.keys() {
            self.tasks.entry(*task).or_insert_with(|| remembered(&self.shared, *task));
        }
        let mut again = Vec::new();
        for (task, entry) in &mut self.tasks {
            let listed = by_task.remove(task).unwrap_or_default();
            if entry.is_occupied() || entry.changed_at > begun {
                // The list is older than what is being done: each of its containers is looked at by itself.
                let known = entry.containers.iter().chain(&listed).map(|container| container.id.clone());
                again.extend(known.collect::<BTreeSet<_>>().into_iter().map(|container| (*task, container)));
                continue;
            }
            if pardon {
                entry.memory.runtime_is_back();
                entry.memory.pardon = ended_meanwhile(entry, &listed);
            }
            entry.unsure.clear();
            if first || pardon || entry.containers != listed {
                entry.containers = listed;
                self.queue.insert(*task);
            }
        }
        for (task, container) in again {
            self.look(Some(task), container);
        }
        if first {
            self.queue.extend(self.tasks.keys());
        }
    }

    fn take_event(&mut self, event: RuntimeEvent) {
        match event {
            RuntimeEvent::Changed(event) => {
                let known = || {
                    let holds = |entry: &Entry| entry.containers.iter().any(|c| c.id == event.container);
                    self.tasks.iter().find(|(_, entry)| holds(entry)).map(|(task, _)| *task)
                };
                match event.task.or_else(known) {
                    Some(task) => self.hear(task, &event),
                    None => self.look(None, event.container),
                }
            }
            RuntimeEvent::Reconnected => {
                self.runtime.was_away = true;
                self.forgive();
                self.runtime.listing = false; // one that is under way may be of before
                self.list();
            }
            RuntimeEvent::Unreachable(why) => self.runtime_is_away(&why),
        }
    }

    /// Takes in what was told of a task's container, now or after the step that is under way.
    fn hear(&mut self, task: TaskId, event: &ContainerEvent) {
        let Some(entry) = self.tasks.get_mut(&task) else {
            return self.look(Some(task), event.container.clone());
        };
        if entry.busy.is_some() {
            if entry.told.len() < TOLD {
                entry.told.push(event.clone());
            } else {
                entry.dirty.insert(event.container.clone());
            }
            return;
        }
        let heard = entry.hear(event);
        match heard {
            Heard::Nothing => return,
            Heard::News | Heard::End => {
                entry.changed_at = self.tick;
                self.queue.insert(task);
            }
            Heard::Unclear => self.look(Some(task), event.container.clone()),
        }
        if heard == Heard::End {
            self.ask_details(task, event.container.clone());
        }
    }

    fn take_probed(&mut self, task: TaskId, container: &ContainerId, outcome: &ProbeOutcome) {
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

    fn take_time(&mut self) {
        let now = self.shared.env.monotonic();
        while let Some((at, task)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, task));
            if let Some(entry) = self.tasks.get_mut(&task) {
                entry.timer = None;
            }
            self.queue.insert(task);
        }
        if self.runtime.list_at <= now {
            // Should this list hang, the next one is begun a sweep later all the same.
            self.runtime.list_at = now + self.shared.config.sweep_interval;
            self.list();
        }
    }

    /// Tells what the pulls under way have come to.
    fn look_at_pulls(&mut self) {
        self.looks_at_pulls = false;
        for (task, entry) in &mut self.tasks {
            let (Some(busy), Some(desired), Some(said)) = (&entry.busy, &entry.desired, &mut entry.said)
            else {
                continue;
            };
            if !busy.launching || entry.memory.image.is_some() {
                continue;
            }
            self.looks_at_pulls = true;
            let progress = self.pulls.progress(&desired.template.image);
            if progress.is_some() && said.note != progress && !self.goal.revoked {
                tracing::debug!(%task, progress = progress.as_deref(), "pulling");
                said.note = progress;
                self.shared.outbox.push(said.clone());
            }
        }
        if self.looks_at_pulls {
            let sleep = self.shared.env.sleep(PROGRESS_INTERVAL);
            self.jobs.push(Box::pin(async move {
                sleep.await;
                Job::LookAtPulls
            }));
        }
    }

    // ── the runtime as a whole ──

    /// Nothing is known until it is back: what the tasks are stays as it was last said, and nothing is tried.
    fn runtime_is_away(&mut self, why: &str) {
        self.set_reachable(false, Some(why));
        self.list_soon();
    }

    /// What ended just before the engine went away was its doing.
    fn forgive(&mut self) {
        let now = self.shared.env.monotonic().since_origin();
        let since = Monotonic::from_origin(now.saturating_sub(ENGINE_STOP));
        for (task, entry) in &mut self.tasks {
            entry.memory.forgive(since);
            self.queue.insert(*task);
        }
    }

    fn set_reachable(&mut self, reachable: bool, why: Option<&str>) {
        if !reachable && !std::mem::replace(&mut self.runtime.was_away, true) {
            self.forgive();
        }
        self.shared.status.send_if_modified(|status| {
            std::mem::replace(&mut status.runtime_reachable, reachable) != reachable
        });
        if std::mem::replace(&mut self.runtime.reachable, reachable) != reachable {
            if reachable {
                tracing::info!("the container runtime is back");
            } else {
                tracing::warn!(why, "the container runtime cannot be reached; its tasks stay as they are");
            }
        }
    }

    /// Lists within the second, rather than at the next sweep.
    fn list_soon(&mut self) {
        let soon = self.shared.env.monotonic() + Duration::from_millis(250);
        self.runtime.list_at = self.runtime.list_at.min(soon);
    }

    fn wake_at(&self) -> Option<Monotonic> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let list = self.owner.map(|_| self.runtime.list_at);
        timer.into_iter().chain(list).min()
    }
}

/// A task that is new to this process, with what an earlier one knew of it.
fn remembered(shared: &Shared, task: TaskId) -> Entry {
    let streak = shared.streaks.borrow().get(&task).copied();
    Entry { memory: streak.map(TaskMemory::recalled).unwrap_or_default(), ..Entry::default() }
}

/// Whether a container that ran when the runtime went away has ended since, or had ended so shortly before that nothing
/// was made of it yet.
fn ended_meanwhile(entry: &Entry, listed: &[ObservedContainer]) -> bool {
    let open = |id| entry.unsure.contains(id) && entry.memory.container.as_ref() == Some(id);
    entry.containers.iter().any(|known| {
        (matches!(known.state, ContainerState::Running { .. }) || open(&known.id))
            && listed.iter().any(|now| now.id == known.id && matches!(now.state, ContainerState::Exited(_)))
    })
}
