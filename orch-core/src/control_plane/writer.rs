//! The writer: the one task that changes anything. Queue → decide on `head` → reconcile → commit → publish → answer.
//!
//! `head` is the published image between groups. Within a group it runs ahead; a group that is not written puts it back.

mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use self::recovery::{FIRST_PAUSE, Mode, no_answer};
use super::call::{Call, Settled};
use super::dirty::Dirty;
use super::group::{Group, Outcome};
use super::health::Health;
use super::metric::Measured;
use super::own::{ClockStepped, limit_of_prune};
use super::shared::Shared;
use super::timers::{Timer, Timers};
use crate::cluster::{Change, Cluster};
use crate::command::{NodeFellSilent, PruneState, ReviewSilence};
use crate::env::{EnvExt as _, SharedEnv};
use crate::node::{Hearing, Node, NodeStatus};
use crate::store::{CommitError, Epoch, StoreError};
use crate::time::Monotonic;

/// How many calls wait at most; whoever comes then waits to be let in.
pub(super) const QUEUE: usize = 1_024;
/// How many calls one group decides at most.
const MAX_CALLS: usize = 256;
/// Every service is looked at so often, whatever happened.
const SWEEP_EVERY: Duration = Duration::from_secs(300);
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
const CLOCK_EVERY: Duration = Duration::from_secs(5);
/// What share of its commit's duration a group's callers have to come back before the next group is formed without them: a
/// quarter. Whoever misses it makes a commit of his own, which costs more than the wait.
const SHARE_TO_RETURN: u32 = 4;
const LONGEST_TO_RETURN: Duration = Duration::from_millis(2);
/// Nobody else comes back once the executor had so many turns in a row without a new call. Enough for another of its threads to
/// wake up meanwhile.
const QUIET_TURNS: u32 = 64;
/// A timer that fires so late says that this process did not run meanwhile, and could hear no heartbeat.
const STALL: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    shared: Arc<Shared>,
    env: SharedEnv,
    queue: mpsc::Receiver<Call>,
    scheduler: Measured,
    epoch: Epoch,
    head: Cluster,
    dirty: Dirty,
    timers: Timers,
    mode: Mode,
    pause: Duration,
    returning: Option<Returning>,
}

/// Callers that were just answered together. Those that ask again at once come a moment too late for the next group; with
/// nobody waiting for them they would form a second one, and the two would take turns, each half as large as it could be.
struct Returning {
    /// How many calls would wait if all of them came back.
    expected: usize,
    until: Monotonic,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<Call>, epoch: Epoch) -> Self {
        let env = Arc::clone(&shared.parts.env);
        let scheduler = Measured { scheduler: Arc::clone(&shared.parts.scheduler), env: Arc::clone(&env) };
        let head = (*shared.published.image()).clone();
        let mut writer = Self {
            env,
            queue,
            scheduler,
            epoch,
            head,
            dirty: Dirty::default(),
            timers: Timers::default(),
            mode: Mode::Writing,
            pause: FIRST_PAUSE,
            returning: None,
            shared,
        };
        writer.arm();
        writer
    }

    /// Runs until everything that was accepted is answered after the stop, or every handle is gone.
    pub(super) async fn run(mut self) {
        let stop = self.shared.stop.clone();
        let mut calls = Vec::with_capacity(MAX_CALLS);
        loop {
            self.gather().await;
            let wake = self.env.sleep_until(self.next_wake());
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                count = self.queue.recv_many(&mut calls, MAX_CALLS) => if count == 0 { break },
                () = wake => {}
            }
            self.turn(&mut calls).await;
        }
        self.shared.health.set(Health::Stopped);
    }

    /// Lets the callers that were just answered come back, for as long as they keep coming. No timer: the executor's turns
    /// are shorter than what one can measure.
    async fn gather(&mut self) {
        let Some(Returning { expected, until }) = self.returning.take() else { return };
        let (mut waiting, mut quiet) = (self.queue.len(), 0);
        while waiting < expected && quiet < QUIET_TURNS && self.env.monotonic() < until {
            tokio::task::yield_now().await;
            let before = std::mem::replace(&mut waiting, self.queue.len());
            quiet = if waiting > before { 0 } else { quiet + 1 };
        }
    }

    /// Answers a group, and remembers whom to expect back. A caller on its own is never waited for.
    fn answer(&mut self, outcome: Outcome, took: Duration) {
        let answered = outcome.answered();
        if answered > 1 {
            let patience = (took / SHARE_TO_RETURN).min(LONGEST_TO_RETURN);
            let expected = (self.queue.len() + answered).min(MAX_CALLS);
            self.returning = Some(Returning { expected, until: self.in_time(patience) });
        }
        outcome.settle(&Settled::Durable);
    }

    fn next_wake(&self) -> Monotonic {
        match &self.mode {
            Mode::Waiting(wait) => wait.until,
            Mode::Writing if !self.dirty.is_empty() => self.env.monotonic(),
            Mode::Writing => self.timers.next().unwrap_or_else(|| self.in_time(SWEEP_EVERY)),
            Mode::Fenced => self.in_time(SWEEP_EVERY),
        }
    }

    async fn turn(&mut self, calls: &mut Vec<Call>) {
        self.recover().await;
        if let Some(refusal) = self.refusal() {
            calls.drain(..).for_each(|call| call.refuse(&refusal));
            return;
        }
        let outcome = self.form(calls);
        self.commit(outcome).await;
    }

    /// Decides what is queued and due, and looks at what that touched.
    fn form(&mut self, calls: &mut Vec<Call>) -> Outcome {
        let now = self.env.monotonic();
        let due = self.due(now);
        let shared = Arc::clone(&self.shared);
        let silence = due.iter().any(Timer::is_about_silence);
        let hearing = if silence { self.hearing(now) } else { Hearing::default() };
        let mut group = Group::begin(&mut self.head, &mut self.dirty, &shared);
        calls.drain(..).for_each(|call| group.decide(call));
        for timer in due {
            let seed = self.env.random_u64();
            let next = match timer {
                Timer::Node(node) => {
                    let Some(row) = shared.published.image().node(node).cloned() else { continue };
                    let (incarnation, hearing) = (row.incarnation, hearing.clone());
                    group.decide_own("node-monitor", seed, NodeFellSilent { node, incarnation, hearing });
                    shared.liveness.timeout()
                }
                Timer::Silence => {
                    let review = ReviewSilence { hearing: hearing.clone() };
                    if group.decide_own("node-monitor", seed, review) == Some(false) {
                        group.outcome.fired.push(timer);
                        continue; // nothing is held any more
                    }
                    shared.liveness.interval()
                }
                Timer::Prune => {
                    let limit = limit_of_prune();
                    let removed = group.decide_own("retention-controller", seed, PruneState { limit });
                    if removed.is_some_and(|removed| removed >= limit) { FIRST_PAUSE } else { PRUNE_EVERY }
                }
                Timer::Clock => {
                    if let Some(micros) = shared.clock.step() {
                        shared.liveness.grant_grace(now);
                        group.decide_own("clock", seed, ClockStepped { micros });
                    }
                    CLOCK_EVERY
                }
                Timer::Service(_) | Timer::Sweep => continue,
            };
            group.outcome.fired.push(timer);
            self.timers.set(timer, now + next);
        }
        group.reconcile(&self.scheduler, &self.env);
        group.outcome
    }

    /// Takes the timers that are due. Services go to the queue of the touched; a node that was heard of is waited for anew.
    fn due(&mut self, now: Monotonic) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some((at, timer)) = self.timers.pop_due(now) {
            if now.since(at) > STALL {
                self.shared.liveness.grant_grace(now);
            }
            match timer {
                Timer::Service(service) => self.dirty.mark(service),
                Timer::Sweep => {
                    self.dirty.mark_all(&self.head);
                    self.timers.set(Timer::Sweep, now + SWEEP_EVERY);
                }
                Timer::Node(node) => {
                    let silent_at = self.shared.liveness.silent_at(node);
                    if !self.head.node(node).is_some_and(|node| is_waited_for(node)) {
                        continue;
                    } else if silent_at > now {
                        self.timers.set(timer, silent_at);
                    } else {
                        due.push(timer);
                    }
                }
                Timer::Prune | Timer::Clock | Timer::Silence => due.push(timer),
            }
        }
        due
    }

    /// Whom there is reason to wait for, as of now.
    fn hearing(&self, now: Monotonic) -> Hearing {
        let liveness = &self.shared.liveness;
        let nodes = self.head.nodes().filter(|node| is_waited_for(node)).map(|node| node.id);
        Hearing { overdue: Arc::new(liveness.overdue(nodes, now)), window: liveness.timeout() }
    }

    async fn commit(&mut self, mut outcome: Outcome) {
        if outcome.transactions.is_empty() {
            if outcome.fired.contains(&Timer::Clock)
                && let Err(error) = self.check().await
            {
                return self.failed(outcome, error);
            }
            self.keep(&mut outcome);
            return outcome.settle(&Settled::Durable);
        }
        let base = self.shared.published.image().revision();
        let began = self.env.monotonic();
        let commit = self.shared.parts.store.commit(self.epoch, base, &outcome.transactions);
        let result = self.in_limit(commit).await.unwrap_or_else(|| Err(no_answer()));
        match result {
            Ok(revision) => {
                debug_assert_eq!(revision, self.head.revision(), "a store counts transactions without a gap");
                self.resume();
                self.keep(&mut outcome);
                self.arm_nodes(&outcome);
                let took = self.env.monotonic().since(began);
                let group = std::mem::take(&mut outcome.transactions);
                self.shared.published.group(&self.head, group, &self.shared.liveness, took);
                self.answer(outcome, took);
            }
            Err(error) => self.failed(outcome, error),
        }
    }

    /// While nothing is written, whether it could be.
    async fn check(&self) -> Result<(), CommitError> {
        match self.in_limit(self.shared.parts.store.check()).await {
            Some(Ok(())) => Ok(()),
            Some(Err(StoreError::Unavailable(cause))) => Err(CommitError::NotWritten(cause)),
            Some(Err(error)) => Err(CommitError::NotWritten(Box::new(error))),
            None => Err(CommitError::NotWritten("the store does not answer".into())),
        }
    }

    /// What the looks of a group found holds from now on.
    fn keep(&mut self, outcome: &mut Outcome) {
        for (service, look) in std::mem::take(&mut outcome.looks) {
            let timer = Timer::Service(service);
            match look.look_again {
                Some(at) => self.timers.set(timer, self.shared.clock.monotonic_at(at)),
                None => self.timers.clear(timer),
            }
            self.shared.published.set_held(service, look.held);
        }
    }

    /// Everything is looked at once, and every node is waited for: after a start, and after loading again.
    fn arm(&mut self) {
        let now = self.env.monotonic();
        self.dirty.mark_all(&self.head);
        for node in self.head.nodes() {
            if is_waited_for(node) {
                self.timers.set_if_unset(Timer::Node(node.id), self.shared.liveness.silent_at(node.id));
            } else if node.status.is_held(self.shared.clock.now()) {
                self.timers.set_if_unset(Timer::Silence, now + self.shared.liveness.interval());
            }
        }
        self.timers.set_if_unset(Timer::Sweep, now + SWEEP_EVERY);
        self.timers.set_if_unset(Timer::Prune, now + PRUNE_EVERY);
        self.timers.set_if_unset(Timer::Clock, now + CLOCK_EVERY);
    }

    /// Waits for the heartbeats of nodes that came, or came back, and of those whose tasks are not replaced for now.
    fn arm_nodes(&mut self, outcome: &Outcome) {
        let (now, liveness) = (self.env.monotonic(), &self.shared.liveness);
        for change in outcome.transactions.iter().flat_map(|transaction| &transaction.changes) {
            let Change::Node(row) = change else { continue };
            if is_waited_for(row) {
                self.timers.set_if_unset(Timer::Node(row.id), now + liveness.timeout());
            } else if row.status.is_held(self.shared.clock.now()) {
                self.timers.set_if_unset(Timer::Silence, now + liveness.interval());
            }
        }
    }

    fn in_time(&self, duration: Duration) -> Monotonic {
        self.env.monotonic() + duration
    }
}

/// Whether silence of a node would mean anything.
fn is_waited_for(node: &Node) -> bool {
    matches!(node.status, NodeStatus::Ready | NodeStatus::Draining)
}
