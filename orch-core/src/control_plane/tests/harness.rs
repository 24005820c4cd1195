//! A control plane on a store that fails on request, and commands that need nothing else of the system.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::FutureExt as _;

use crate::cluster::{Cluster, NamespaceRecord, Revision, Transaction};
use crate::command::{Command, Ctx, Decision, ExecuteError, Rejection};
use crate::control_plane::ControlPlane;
use crate::env::Env as _;
use crate::identity::{Action, Permit};
use crate::name::Namespace;
use crate::testing::FaultyStore;
use crate::testing::env::{Actor, Sim};
use crate::testing::parts::plain;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(3_600);
/// Callers outlive every server.
const CALLERS: Actor = Actor(1_000);

pub(super) struct Harness {
    pub(super) sim: Sim,
    pub(super) store: Arc<FaultyStore>,
    pub(super) server: Actor,
    pub(super) plane: ControlPlane,
}

impl Harness {
    pub(super) fn start(seed: u64) -> Self {
        let (sim, store, server) = (Sim::seeded(seed), Arc::new(FaultyStore::new()), Actor(1));
        let starting = plain(sim.env(server), store.clone()).start();
        let plane = sim.block_on(CALLERS, LIMIT, starting).unwrap().unwrap();
        Self { sim, store, server, plane }
    }

    /// The server dies as it stands, and another one takes over its store. By so much is the other one's wall clock off.
    pub(super) fn restart(&mut self, wall_clock_micros: i64) {
        self.sim.crash(self.server);
        self.server = Actor(self.server.0 + 1);
        self.sim.step_wall_clock(self.server, wall_clock_micros);
        let starting = plain(self.sim.env(self.server), self.store.clone()).start();
        self.plane = self.wait(starting).unwrap();
    }

    /// Runs what can run, without letting time pass.
    pub(super) fn settle(&self) {
        self.sim.run_for(Duration::ZERO);
    }

    /// Runs until `future` is done.
    pub(super) fn wait<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        self.sim.block_on(CALLERS, LIMIT, future).expect("it comes to an end")
    }

    /// Sends a command without waiting for it.
    pub(super) fn send<C: Command>(&self, command: C) -> Sent<Result<C::Output, ExecuteError>> {
        let plane = self.plane.clone();
        self.spawn(async move { plane.execute(Permit::system("test"), command).await })
    }

    /// Carries out a command.
    pub(super) fn execute<C: Command>(&self, command: C) -> Result<C::Output, ExecuteError> {
        let plane = self.plane.clone();
        self.wait(async move { plane.execute(Permit::system("test"), command).await })
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Sent<T> {
        let slot = Arc::new(Mutex::new(None));
        let to = Arc::clone(&slot);
        let run = async move {
            let answer = future.await;
            *to.lock().unwrap() = Some(answer);
        };
        self.sim.env(CALLERS).spawn(run.boxed());
        Sent { slot }
    }
}

/// What was asked for in the background.
pub(super) struct Sent<T> {
    slot: Arc<Mutex<Option<T>>>,
}

impl<T> Sent<T> {
    pub(super) fn is_answered(&self) -> bool {
        self.slot.lock().unwrap().is_some()
    }

    pub(super) fn take(&self) -> Option<T> {
        self.slot.lock().unwrap().take()
    }
}

pub(super) fn name(text: &str) -> Namespace {
    text.parse().unwrap()
}

/// Makes a namespace, unless it is there.
pub(super) struct Put(pub(super) &'static str);

impl Command for Put {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = Revision;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Revision>, Rejection> {
        if cluster.has_namespace(&name(self.0)) {
            return Err(Rejection::Conflict(format!("{} is there", self.0)));
        }
        let mut transaction = Transaction::default();
        transaction.put(NamespaceRecord { name: name(self.0), created_at: ctx.now });
        Ok(Decision::commit(transaction, ctx.revision).about(self.0))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Revision> {
        cluster.has_namespace(&name(object)).then_some(Revision(0))
    }
}

/// Takes a namespace away.
pub(super) struct Take(pub(super) &'static str);

impl Command for Take {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = ();

    fn decide(self, _: &Cluster, _: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let mut transaction = Transaction::default();
        transaction.remove(crate::cluster::Key::Namespace(name(self.0)));
        Ok(Decision::commit(transaction, ()))
    }
}

/// Changes nothing, and answers whether a namespace is there.
pub(super) struct Look(pub(super) &'static str);

impl Command for Look {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = bool;

    fn decide(self, cluster: &Cluster, _: &mut Ctx<'_>) -> Result<Decision<bool>, Rejection> {
        Ok(Decision::unchanged(cluster.has_namespace(&name(self.0))))
    }
}

/// A fault of ours.
pub(super) struct Panic;

impl Command for Panic {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = ();

    fn decide(self, _: &Cluster, _: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        panic!("a decision that fails, on purpose")
    }
}
