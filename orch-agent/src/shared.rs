//! What the parts of one agent share: the environment, the seams, and what they tell each other.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use orch_core::agent::{AgentApi, AgentApiError, DesiredSet};
use orch_core::converge::Streak;
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::{BootId, NodeId, ServiceId, TaskId};
use orch_core::node::NodeFacts;
use orch_core::runtime::{ContainerRuntime, RuntimeError};
use orch_core::service::{ImageDigest, ImageRef};
use orch_core::time::Monotonic;
use tokio::sync::{Notify, watch};

use crate::cache::Cache;
use crate::config::AgentConfig;
use crate::credential::Session;
use crate::images::Ledger;
use crate::node_key::NodeSigner;
use crate::probe::Prober;
use crate::report::Outbox;
use crate::status::AgentStatus;

/// What the node is to come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Goal {
    /// What it should run, as last told; `None` before the first time.
    pub(crate) desired: Option<Arc<DesiredSet>>,
    /// It is revoked: nothing may run.
    pub(crate) revoked: bool,
    /// Earlier identities of this node in the same cluster, which may have left containers.
    pub(crate) former: BTreeSet<NodeId>,
}

pub(crate) struct Shared {
    pub(crate) env: SharedEnv,
    pub(crate) api: Arc<dyn AgentApi>,
    pub(crate) runtime: Arc<dyn ContainerRuntime>,
    pub(crate) prober: Arc<dyn Prober>,
    pub(crate) cache: Arc<dyn Cache>,
    pub(crate) key: Option<Arc<dyn NodeSigner>>,
    pub(crate) config: AgentConfig,
    pub(crate) boot: BootId,
    /// The registration that is alive, if any.
    pub(crate) session: watch::Sender<Option<Arc<Session>>>,
    /// What the node is by itself; `None` before the runtime was asked.
    pub(crate) facts: watch::Sender<Option<NodeFacts>>,
    pub(crate) goal: watch::Sender<Goal>,
    pub(crate) streaks: watch::Sender<BTreeMap<TaskId, Streak>>,
    /// The images that orch pulled here.
    pub(crate) images: watch::Sender<Ledger>,
    pub(crate) outbox: Outbox,
    /// A heartbeat told that a poll must have got lost.
    pub(crate) poll_again: Notify,
    pub(crate) status: watch::Sender<AgentStatus>,
    /// Since when the runtime cannot be reached, and why.
    pub(crate) engine_away: watch::Sender<Option<(Monotonic, String)>>,
    /// When the last question that the control plane answered was asked.
    pub(crate) heard: watch::Sender<Option<Monotonic>>,
}

impl Shared {
    /// The session that is alive, waiting for one.
    pub(crate) async fn session(&self) -> Arc<Session> {
        let mut session = self.session.subscribe();
        let alive = |session: &Option<Arc<Session>>| session.as_ref().is_some_and(|s| !s.is_over());
        let found = session.wait_for(alive).await;
        found
            .ok()
            .and_then(|session| session.clone())
            .expect("the sender lives in self, and the condition holds")
    }

    /// A task of the service has this image.
    pub(crate) fn uses_image(&self, name: &ImageRef, id: &ImageDigest, service: ServiceId) {
        let now = self.env.now();
        self.images.send_if_modified(|ledger| ledger.used(name, id, service, now));
    }

    /// A call to the runtime, given up some time after what it may `take` by itself: a call that hangs must not hold up
    /// what it is about for ever. Whether it takes effect is found out by the next look.
    pub(crate) async fn ask<T>(
        &self,
        take: Duration,
        call: impl Future<Output = Result<T, RuntimeError>>,
    ) -> Result<T, RuntimeError> {
        let within = self.config.runtime_timeout + take;
        tokio::select! {
            biased;
            answer = call => answer,
            () = self.env.sleep(within) => Err(RuntimeError::NoAnswer { within }),
        }
    }

    /// A call to the control plane, given up after `limit`: a peer that fell silent must not hold up a loop.
    pub(crate) async fn call<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, AgentApiError>>,
    ) -> Result<T, AgentApiError> {
        let asked = self.env.monotonic();
        tokio::select! {
            biased;
            answer = call => {
                if answer.is_ok() {
                    self.heard.send_if_modified(|heard| {
                        let newer = heard.is_none_or(|heard| heard < asked);
                        *heard = (*heard).max(Some(asked));
                        newer
                    });
                }
                answer
            }
            () = self.env.sleep(limit) => Err(AgentApiError::Unavailable {
                retry_after: None,
                cause: format!("no answer within {limit:?}").into(),
            }),
        }
    }
}

/// When the other side asked to wait.
pub(crate) const fn retry_after(error: &AgentApiError) -> Option<Duration> {
    match error {
        AgentApiError::Unavailable { retry_after, .. } => *retry_after,
        _ => None,
    }
}
