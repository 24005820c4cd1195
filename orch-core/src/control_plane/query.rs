//! What can be read, under which permit.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::identity::{Action, Authorized, Scope};

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
    /// Logs.
    ReadLogs: ReadLogs;
    /// Events.
    ReadEvents: ReadEvents;
    /// Audit records.
    ReadAudit: ReadAudit;
    /// Namespaces.
    ReadNamespaces: ManageNamespaces;
}

/// One image, as far as a permit reaches.
#[derive(Clone, Debug)]
pub struct View {
    cluster: Arc<Cluster>,
    scope: Scope,
}

impl View {
    #[allow(dead_code)]
    pub(super) fn new(cluster: Arc<Cluster>, scope: Scope) -> Self {
        Self { cluster, scope }
    }

    /// The whole image. Objects of namespaces outside [`View::scope`] are not the caller's to see.
    #[must_use]
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What the permit reaches.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}
