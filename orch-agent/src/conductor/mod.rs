//! The conductor: brings what runs on the node to what should, one state machine a task, all of them in parallel.
//!
//! It alone knows what is on the node. It never waits for a runtime: every call is a job beside it, and what a job comes
//! to is taken in like any other event. So one slow pull or stop delays nothing else, and one that hangs is given up.
//!
//! Read in this order: this file (the loop) → [`entry`] (what is held about one task) → [`goal`] (what is wanted) →
//! [`decide`] (what to do about a task) → [`perform`] and [`work`] (having it done) → [`events`], [`looks`], [`runtime`]
//! (what is the case: told, looked at, listed) → [`health`], [`progress`] and [`prepare`].

mod decide;
mod entry;
mod events;
mod goal;
mod health;
mod looks;
mod perform;
mod prepare;
mod progress;
mod pull;
mod runtime;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use orch_core::converge::ProbeOutcome;
use orch_core::id::TaskId;
use orch_core::runtime::{ContainerId, ObservedContainer, Owner, RuntimeError, RuntimeEvent};
use orch_core::time::Monotonic;
use tokio::sync::Semaphore;

use self::entry::Entry;
use self::prepare::Fetched;
use self::pull::Pulls;
use self::runtime::RuntimeView;
use self::work::Worked;
use crate::contact::Lapse;
use crate::exec_check;
use crate::shared::{Goal, Shared};

/// What comes back from the work beside the conductor.
enum Job {
    Worked(Worked),
    Listed {
        /// Which list; only the newest counts.
        number: u64,
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
    Fetched(Fetched),
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
    /// When this process began.
    started: Monotonic,
}

impl Conductor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let config = &shared.config;
        let pulls = Arc::new(Pulls::new(Arc::clone(&shared)));
        let launches = Arc::new(Semaphore::new(config.start_concurrency.max(1)));
        let runtime = RuntimeView::new(shared.env.monotonic());
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
            started: shared.env.monotonic(),
            shared,
        }
    }

    /// Converges for ever. Dropping it abandons what is under way: the next one finds out by listing.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut goals = shared.goal.subscribe();
        goals.mark_changed();
        let mut sessions = shared.session.subscribe();
        let mut heard = shared.heard.subscribe();
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
                Ok(()) = heard.changed() => {
                    heard.borrow_and_update();
                    self.go_on();
                }
                Some(job) = self.jobs.next(), if !self.jobs.is_empty() => self.take_job(job),
                Some(event) = self.events.next() => self.take_event(event),
                () = sleep => self.take_time(),
            }
        }
    }

    /// The control plane is heard: what may not run without it may again.
    fn go_on(&mut self) {
        let waiting = self.tasks.iter().filter(|(_, entry)| entry.lapse != Lapse::Fresh);
        self.queue.extend(waiting.map(|(task, _)| *task));
    }

    fn take_job(&mut self, job: Job) {
        match job {
            Job::Worked(worked) => self.take_worked(worked),
            Job::Listed { number, begun, found } => self.take_list(number, begun, found),
            Job::Seen { task, container, begun, found } => self.take_seen(task, container, begun, found),
            Job::Detailed { task, container, found } => self.take_details(task, &container, found),
            Job::Probed { task, container, outcome } => self.take_probed(task, &container, &outcome),
            Job::Fetched(fetched) => self.take_fetched(fetched),
            Job::LookAtPulls => self.look_at_pulls(),
        }
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
            self.runtime.list_at = now + self.shared.config.sweep_interval;
            self.list();
        }
    }

    fn wake_at(&self) -> Option<Monotonic> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let list = self.owner.map(|_| self.runtime.list_at);
        timer.into_iter().chain(list).min()
    }
}
