//! [`ControlPlane`]: the shell around the decisions.
//!
//! A map. A call comes in through the handle (here, or [`local_agent`] for nodes, which [`authenticate`] lets in), is erased
//! to a [`call`] and queued. The [`writer`] forms a [`group`] of calls, timers and touched services ([`dirty`], [`timers`]),
//! commits it, and hands it to [`publish`], which shows it to readers ([`query`]), listeners ([`feed`]) and waiting polls
//! ([`desired`]). Beside it: [`clock`], [`liveness`], [`enrollment`], [`streams`], [`logs`], [`stats`], [`history`], [`health`].

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::AgentApi;
use crate::cluster::Cluster;
use crate::command::{Command, ExecuteError};
use crate::env::{EnvExt as _, SharedEnv};
use crate::id::{IdStream, ServiceId};
use crate::identity::{self, Action, Authorized, Denied, Permit, Principal, Scope};
use crate::reconcile::Held;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

mod authenticate;
mod authority;
mod call;
mod clock;
mod desired;
mod dirty;
pub mod enrollment;
pub mod exec;
pub mod feed;
mod group;
pub mod health;
pub mod history;
pub mod liveness;
pub mod local_agent;
pub mod logs;
mod metric;
mod own;
pub mod parts;
pub mod policy;
mod population;
mod publish;
pub mod query;
mod shared;
pub mod stats;
mod streams;
#[cfg(test)]
mod tests;
mod timers;
mod users;
mod writer;

pub use enrollment::TokenRequest;
pub use exec::ExecError;
pub use feed::{CommitFeed, EventFeed, Lagged};
pub use health::Health;
pub use liveness::NodeLiveness;
pub use logs::LogsError;
pub use parts::{AgentConnection, Builder, NoSecrets, Parts, RequestOptions, StartError};
pub use policy::ClusterPolicy;
pub use stats::StatsError;
pub use users::UserChanges;

/// A running control plane. Clones are handles on the same one; it ends by [`ControlPlane::shutdown`], or with the last.
#[derive(Clone)]
pub struct ControlPlane {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<shared::Shared>,
    queue: mpsc::Sender<call::Call>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl ControlPlane {
    /// Collects the parts of a control plane.
    pub fn builder(env: SharedEnv, store: Arc<dyn Store>) -> Builder {
        Builder::new(env, store)
    }

    /// Opens the store and starts the writer.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let env = Arc::clone(&parts.env);
        let fresh = IdStream::seeded(env.random_u64()).next();
        let (epoch, image) = parts.store.open(fresh).await?;
        let clock = clock::ClusterClock::start(Arc::clone(&env), clock::newest(&image.rows));
        let cluster = Cluster::from_rows(image.cluster, image.revision, image.rows);
        let liveness = liveness::Liveness::new(&parts.policy, env.monotonic());
        let published = publish::Published::new(cluster, &liveness);
        let shared = Arc::new(shared::Shared {
            parts,
            clock,
            liveness,
            published,
            health: health::HealthCell::new(),
            streams: streams::Streams::default(),
            token_uses: users::TokenUses::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        metric::describe();
        shared.health.set(Health::Ready);
        let (queue, calls) = mpsc::channel(writer::QUEUE);
        let writer = writer::Writer::new(Arc::clone(&shared), calls, epoch);
        env.spawn(Box::pin(shared.tasks.track_future(writer.run())));
        env.spawn(Box::pin(shared.tasks.track_future(history::forget(Arc::clone(&shared)))));
        shared.tasks.close();
        Ok(Self { inner: Arc::new(Inner { shared, queue }) })
    }

    /// Carries out a command; answers once it is durable. Dropping the future does not take the command back.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<C: Command>(
        &self,
        permit: Permit<C>,
        command: C,
    ) -> Result<C::Output, ExecuteError> {
        self.execute_with(permit, command, RequestOptions::default()).await
    }

    /// The same, with where it came from and an idempotency key.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute_with<C: Command>(
        &self,
        permit: Permit<C>,
        command: C,
        options: RequestOptions,
    ) -> Result<C::Output, ExecuteError> {
        let seed = self.shared().parts.env.random_u64();
        let (call, answer) = call::Call::new(permit, command, options, seed);
        if self.inner.queue.send(call).await.is_err() {
            return Err(ExecuteError::Unavailable {
                retry_after: std::time::Duration::from_secs(1),
                cause: "the control plane is shutting down".into(),
            });
        }
        let ended = |_| Err(ExecuteError::Uncertain("the writer ended before it answered".into()));
        answer.await.unwrap_or_else(ended)
    }

    /// Writes down as an event that the server was started open to more than it should be, and in what ways: for whoever
    /// puts a server together.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn note_insecure(&self, ways: Vec<String>) -> Result<(), ExecuteError> {
        self.execute(Permit::system("server"), own::InsecureStart { ways }).await
    }

    /// Whether a principal may do something: the proof that [`ControlPlane::execute`] and [`ControlPlane::read`] take.
    ///
    /// # Errors
    /// It may not.
    pub fn authorize<C: Authorized>(&self, principal: Principal, scope: Scope) -> Result<Permit<C>, Denied> {
        identity::authorize(self.shared().parts.authorizer.as_ref(), principal, scope)
    }

    /// Whether a principal may do something, by the same authorizer, without a permit for it.
    ///
    /// # Errors
    /// It may not; with what would be needed.
    pub fn may(&self, principal: &Principal, action: Action, scope: &Scope) -> Result<(), Denied> {
        self.shared().parts.authorizer.allows(principal, action, scope)
    }

    /// What can be read under a permit.
    #[must_use]
    pub fn read<Q: query::Query>(&self, permit: &Permit<Q>) -> query::View {
        query::View::new(self.image(), permit.scope().clone(), Arc::clone(self.shared()))
    }

    /// What is held back of a service, and what it waits for.
    #[must_use]
    pub fn held(&self, permit: &Permit<query::ReadServices>, service: ServiceId) -> Vec<Held> {
        self.read(permit).held(service)
    }

    /// Waits until `look` finds in an image what it looks for. `None`: the control plane ended first. Cancel-safe.
    pub async fn wait_for<T>(
        &self,
        permit: &Permit<query::ReadServices>,
        mut look: impl FnMut(&query::View) -> Option<T> + Send,
    ) -> Option<T> {
        let mut images: watch::Receiver<Arc<Cluster>> = self.shared().published.watch();
        loop {
            let image = Arc::clone(&images.borrow_and_update());
            let view = query::View::new(image, permit.scope().clone(), Arc::clone(self.shared()));
            if let Some(found) = look(&view) {
                return Some(found);
            }
            tokio::select! {
                biased;
                () = self.shared().stop.cancelled() => return None,
                changed = images.changed() => changed.ok()?,
            }
        }
    }

    /// What an agent asks, in process. Credentials are checked here as over HTTP.
    #[must_use]
    pub fn agent_api(&self, connection: AgentConnection) -> Arc<dyn AgentApi> {
        Arc::new(local_agent::LocalAgent { plane: self.clone(), connection })
    }

    /// The image as readers see it, for parts of the same process that hold no permit: metrics, tests.
    #[must_use]
    pub fn image(&self) -> Arc<Cluster> {
        self.shared().published.image()
    }

    /// Cluster time: what expiry is judged by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared().clock.now()
    }

    /// Whether it can do its work.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared().health.get()
    }

    /// Answers what was accepted, stops the writer, closes.
    pub async fn shutdown(&self) {
        self.shared().stop.cancel();
        self.shared().tasks.wait().await;
    }

    fn shared(&self) -> &Arc<shared::Shared> {
        &self.inner.shared
    }
}
