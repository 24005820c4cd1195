//! What can be read, under which permit.

use std::fmt;
use std::sync::Arc;

use super::liveness::NodeLiveness;
use super::shared::Shared;
use crate::cluster::Cluster;
use crate::command::{ApplyService, Ctx, Rejection};
use crate::env::EnvExt as _;
use crate::id::{IdStream, NodeId, ServiceId};
use crate::identity::{Action, Authorized, Principal, RequestContext, Scope};
use crate::name::Namespace;
use crate::rebalance::{self, Rebalance};
use crate::reconcile::Held;
use crate::rehearse::{Rehearsal, rehearse};
use crate::time::Timestamp;

/// Marks what a permit for reading is for.
pub trait Query: Authorized + Send + Sync + 'static {}

macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident: $action:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Authorized for $name { const ACTION: Action = Action::$action; }
        impl Query for $name {}
    )*};
}
queries! {
    /// The server's version and who one is.
    ReadVersion: ReadVersion;
    /// Nodes.
    ReadNodes: ReadNodes;
    /// Services, deployments, tasks, endpoints.
    ReadServices: ReadServices;
    /// What a change would do.
    PlanChanges: UpdateService;
    /// Logs.
    ReadLogs: ReadLogs;
    /// What tasks use.
    ReadStats: ReadStats;
    /// Events.
    ReadEvents: ReadEvents;
    /// Audit records.
    ReadAudit: ReadAudit;
    /// Namespaces.
    ReadNamespaces: ManageNamespaces;
    /// Tokens that admit nodes.
    ReadEnrollmentTokens: ManageEnrollmentTokens;
    /// Users and their API tokens.
    ReadUsers: ManageUsers;
}

impl Query for crate::command::MoveTasks {}

/// One image, as far as a permit reaches.
#[derive(Clone)]
pub struct View {
    cluster: Arc<Cluster>,
    scope: Scope,
    shared: Arc<Shared>,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let revision = self.cluster.revision();
        f.debug_struct("View")
            .field("revision", &revision)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl View {
    pub(super) fn new(cluster: Arc<Cluster>, scope: Scope, shared: Arc<Shared>) -> Self {
        Self { cluster, scope, shared }
    }

    /// The whole image. Objects of namespaces for which [`View::visible`] is false are not the caller's to see.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What the permit reaches.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Whether objects of a namespace are the caller's to see.
    #[must_use]
    pub fn visible(&self, namespace: &Namespace) -> bool {
        reaches(&self.scope, namespace)
    }

    /// Cluster time, for what depends on it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// When a node was last heard of; `None`: not since this server started.
    #[must_use]
    pub fn last_heartbeat(&self, node: NodeId) -> Option<Timestamp> {
        self.shared.liveness.last_heartbeat(node)
    }

    /// How recently a node was heard of.
    #[must_use]
    pub fn liveness(&self, node: NodeId) -> NodeLiveness {
        self.shared.liveness.of(node, self.shared.parts.env.monotonic())
    }

    /// What is held back of a service, and what it waits for. Nothing of a service that is not the caller's to see.
    #[must_use]
    pub fn held(&self, service: ServiceId) -> Vec<Held> {
        match self.cluster.service(service) {
            Some(row) if self.visible(&row.namespace) => self.shared.published.held(service).to_vec(),
            _ => Vec::new(),
        }
    }

    /// Which tasks of what the permit reaches would run better elsewhere.
    #[must_use]
    pub fn rebalance(&self) -> Rebalance {
        let scheduler = self.shared.parts.scheduler.as_ref();
        rebalance::plan(&self.cluster, scheduler, |namespace| self.visible(namespace), self.now())
    }

    /// What an apply would do, tried on this image by the code that would do it. Writes nothing.
    ///
    /// # Errors
    /// As the apply would be rejected.
    pub fn rehearse(&self, command: ApplyService) -> Result<Rehearsal, Rejection> {
        let parts = &self.shared.parts;
        let mut ids = IdStream::seeded(parts.env.random_u64());
        let mut ctx = Ctx {
            now: self.now(),
            hears_from: self.shared.hears_from(),
            ids: &mut ids,
            revision: self.cluster.revision().next(),
            principal: &Principal::System("planner"),
            scope: &self.scope,
            request: &RequestContext::default(),
            policy: &parts.policy,
        };
        rehearse(&self.cluster, command, parts.scheduler.as_ref(), &mut ctx)
    }
}

pub(super) fn reaches(scope: &Scope, namespace: &Namespace) -> bool {
    match scope {
        Scope::Cluster => true,
        Scope::Namespace(of) => of == namespace,
        Scope::Node(_) => false,
    }
}
