//! A control plane on a store that fails on request, and commands that need nothing else of the system.

use std::future::Future;
use std::sync::{Arc, Mutex};

use futures_util::future::FutureExt as _;

use crate::cluster::{Cluster, NamespaceRecord, Revision, Transaction};
use crate::command::{Command, Ctx, Decision, ExecuteError, Rejection};
use crate::control_plane::ControlPlane;
use crate::env::Env as _;
use crate::identity::{Action, Permit};
use crate::name::Namespace;
use crate::testing::parts::plain;
use crate::testing::{FaultyStore, Sim, SimEnv};

pub(super) struct Harness {
    pub(super) sim: Sim,
    pub(super) store: Arc<FaultyStore>,
    pub(super) server: SimEnv,
    pub(super) plane: ControlPlane,
}

impl Harness {
    pub(super) fn start(seed: u64) -> Self {
        let sim = Sim::seeded(seed);
        let store = Arc::new(FaultyStore::new());
        let server = sim.actor("server");
        let plane = sim.run_until(plain(server.shared(), store.clone()).start()).unwrap();
        Self { sim, store, server, plane }
    }

    /// The server dies as it stands, and another one takes over its store.
    pub(super) fn restart(&mut self) {
        self.sim.crash(self.server.id());
        self.server = self.sim.actor("server");
        let starting = plain(self.server.shared(), self.store.clone()).start();
        self.plane = self.sim.run_until(starting).unwrap();
    }

    /// Sends a command without waiting for it.
    pub(super) fn send<C: Command>(&self, command: C) -> Sent<Result<C::Output, ExecuteError>> {
        let plane = self.plane.clone();
        self.spawn(async move { plane.execute(Permit::system("test"), command).await })
    }

    /// Carries out a command.
    pub(super) fn execute<C: Command>(&self, command: C) -> Result<C::Output, ExecuteError> {
        self.sim.run_until(self.plane.execute(Permit::system("test"), command))
    }

    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Sent<T> {
        let slot = Arc::new(Mutex::new(None));
        let to = Arc::clone(&slot);
        let caller = self.sim.actor("caller");
        caller.spawn(async move { *to.lock().unwrap() = Some(future.await) }.boxed());
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
