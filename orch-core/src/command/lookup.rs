//! Finding what a command is about, as far as the permit reaches. What lies outside is answered as if it were not there.

use std::sync::Arc;

use super::{Ctx, Rejection};
use crate::cluster::{Cluster, Revision};
use crate::deployment::Deployment;
use crate::id::{NodeId, ServiceId};
use crate::name::Namespace;
use crate::node::Node;
use crate::service::{Service, ServiceStatus};

impl Ctx<'_> {
    /// A namespace that exists and that the permit reaches.
    pub(super) fn check_namespace(&self, cluster: &Cluster, name: &Namespace) -> Result<(), Rejection> {
        if !self.reaches(name) {
            return Err(Rejection::Forbidden(format!("this request is not for the namespace `{name}`")));
        }
        if cluster.has_namespace(name) { Ok(()) } else { Err(Rejection::not_found("namespace", name)) }
    }

    /// A service that exists, deleted ones included.
    pub(super) fn service<'c>(
        &self,
        cluster: &'c Cluster,
        id: ServiceId,
    ) -> Result<&'c Arc<Service>, Rejection> {
        cluster
            .service(id)
            .filter(|service| self.reaches(&service.namespace))
            .ok_or_else(|| Rejection::not_found("service", id))
    }

    /// A service that is kept running, so that something of it can be changed.
    pub(super) fn active_service<'c>(
        &self,
        cluster: &'c Cluster,
        id: ServiceId,
    ) -> Result<&'c Arc<Service>, Rejection> {
        let service = self.service(cluster, id)?;
        check_active(service)?;
        Ok(service)
    }

    /// A service, and its rollout that has not ended.
    pub(super) fn rollout_under_way<'c>(
        &self,
        cluster: &'c Cluster,
        id: ServiceId,
    ) -> Result<(&'c Arc<Service>, &'c Arc<Deployment>), Rejection> {
        let service = self.active_service(cluster, id)?;
        let none = || Rejection::WrongState(format!("no rollout of {} is under way", service.spec.name));
        Ok((service, cluster.active_deployment(service.id).ok_or_else(none)?))
    }

    /// A node that exists.
    pub(super) fn node<'c>(&self, cluster: &'c Cluster, id: NodeId) -> Result<&'c Arc<Node>, Rejection> {
        cluster.node(id).ok_or_else(|| Rejection::not_found("node", id))
    }
}

/// Something of a service that is being deleted, or is deleted, can no longer be changed.
pub(super) fn check_active(service: &Service) -> Result<(), Rejection> {
    match service.status {
        ServiceStatus::Active => Ok(()),
        ServiceStatus::Deleting | ServiceStatus::Deleted => Err(in_progress("delete")),
    }
}

/// The contract's words for a service operation that meets another one.
pub(super) fn in_progress(operation: &str) -> Rejection {
    Rejection::Conflict(format!("operation already in progress: {operation}"))
}

/// The revision that the caller read, if he said so, must still be the service's.
pub(super) fn check_revision(service: &Service, expected: Option<Revision>) -> Result<(), Rejection> {
    match expected {
        Some(expected) if expected != service.revision => Err(Rejection::RevisionMoved {
            kind: "service",
            id: service.id.to_string(),
            expected,
            actual: service.revision,
        }),
        _ => Ok(()),
    }
}
