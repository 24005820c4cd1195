//! One group: what was decided on `head` since the last commit, and who waits for it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::call::{Answer, Call, Caller, Settled};
use super::dirty::Dirty;
use super::shared::Shared;
use super::timers::Timer;
use super::{ClusterPolicy, metric};
use crate::cluster::{Cluster, Transaction};
use crate::command::{Command, Ctx};
use crate::env::{EnvExt as _, SharedEnv};
use crate::id::{IdStream, ServiceId};
use crate::reconcile::{Held, Plan, reconcile};
use crate::schedule::Scheduler;
use crate::time::Timestamp;

/// At most so many looks at services in a group: the rest waits for the next, so that no caller waits long.
const MAX_LOOKS: usize = 64;
/// At most so many changes by the reconciler in a group.
const MAX_CHANGES: usize = 2_000;
/// When a look that failed by a fault of ours is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(60);

/// What one look at a service left for later.
pub(super) struct Look {
    pub(super) held: Vec<Held>,
    pub(super) look_again: Option<Timestamp>,
}

/// Transactions in order, all decided at the same time, each on those before it.
pub(super) struct Group<'a> {
    head: &'a mut Cluster,
    dirty: &'a mut Dirty,
    policy: &'a ClusterPolicy,
    now: Timestamp,
    hears_from: Timestamp,
    pub(super) outcome: Outcome,
}

/// What a group came to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) transactions: Vec<Transaction>,
    answers: Vec<Answer>,
    /// The last look at each service.
    pub(super) looks: BTreeMap<ServiceId, Look>,
    /// Timers whose work is in this group: set again if it is not written.
    pub(super) fired: Vec<Timer>,
}

impl Outcome {
    /// How many callers wait for it.
    pub(super) fn answered(&self) -> usize {
        self.answers.len()
    }

    /// Tells everybody who waits.
    pub(super) fn settle(self, settled: &Settled) {
        self.answers.into_iter().for_each(|answer| answer(settled));
    }
}

impl<'a> Group<'a> {
    pub(super) fn begin(head: &'a mut Cluster, dirty: &'a mut Dirty, shared: &'a Shared) -> Self {
        let (now, hears_from) = (shared.clock.now(), shared.hears_from());
        Self { head, dirty, policy: &shared.parts.policy, now, hears_from, outcome: Outcome::default() }
    }

    /// Decides a queued command on what the group has made of `head` so far.
    pub(super) fn decide(&mut self, call: Call) {
        let (caller, seed, work) = call.into_parts();
        let mut ids = IdStream::seeded(seed);
        let mut ctx = self.ctx(&caller, &mut ids);
        let decided = work.decide(self.head, &mut ctx);
        self.outcome.answers.push(decided.answer);
        self.push(decided.transaction);
    }

    /// Decides a command that the control plane gives itself.
    pub(super) fn decide_own<C: Command>(
        &mut self,
        part: &'static str,
        seed: u64,
        command: C,
    ) -> Option<C::Output> {
        let caller = Caller::system(part);
        let mut ids = IdStream::seeded(seed);
        let mut ctx = self.ctx(&caller, &mut ids);
        let decided = catch_unwind(AssertUnwindSafe(|| command.decide(self.head, &mut ctx)));
        match decided {
            Ok(Ok(decision)) => {
                self.push(decision.transaction);
                Some(decision.output)
            }
            Ok(Err(rejection)) => {
                tracing::debug!(part, %rejection, "the control plane's own command is moot");
                None
            }
            Err(_) => {
                metric::decision_panicked(C::ACTION);
                tracing::error!(part, "a decision of the control plane panicked; nothing was written");
                None
            }
        }
    }

    /// Looks at touched services until nothing is left to do or the group is full.
    pub(super) fn reconcile(&mut self, scheduler: &dyn Scheduler, env: &SharedEnv) {
        let (mut looks, mut changes) = (0, 0);
        while looks < MAX_LOOKS && changes < MAX_CHANGES {
            let Some(service) = self.dirty.pop() else { break };
            looks += 1;
            let began = env.monotonic();
            let plan = self.look(service, scheduler, env.random_u64());
            metric::reconciled(env.monotonic().since(began), plan.is_none());
            let plan = plan.unwrap_or_else(|| {
                tracing::error!(%service, "reconciling the service panicked; it is looked at again in a minute");
                Plan { look_again: Some(self.now + AFTER_PANIC), ..Plan::default() }
            });
            changes += plan.transaction.changes.len();
            self.dirty.note_held(service, &plan.held);
            self.push(plan.transaction);
            self.outcome.looks.insert(service, Look { held: plan.held, look_again: plan.look_again });
        }
    }

    fn look(&mut self, service: ServiceId, scheduler: &dyn Scheduler, seed: u64) -> Option<Plan> {
        let caller = Caller::system("reconciler");
        let mut ids = IdStream::seeded(seed);
        let mut ctx = self.ctx(&caller, &mut ids);
        catch_unwind(AssertUnwindSafe(|| reconcile(self.head, service, scheduler, &mut ctx))).ok()
    }

    fn ctx<'b>(&self, caller: &'b Caller, ids: &'b mut IdStream) -> Ctx<'b>
    where
        'a: 'b,
    {
        Ctx {
            now: self.now,
            hears_from: self.hears_from,
            ids,
            revision: self.head.revision().next(),
            principal: &caller.principal,
            scope: &caller.scope,
            request: &caller.request,
            policy: self.policy,
        }
    }

    /// Makes a transaction true for all that is decided after it.
    fn push(&mut self, transaction: Transaction) {
        if transaction.is_empty() {
            return;
        }
        self.dirty.note(self.head, &transaction);
        self.head.apply(&transaction);
        self.outcome.transactions.push(transaction);
    }
}
