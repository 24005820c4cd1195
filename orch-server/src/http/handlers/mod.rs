//! A file a resource. Each handler takes apart, asks the control plane, puts together. A decision found in here is a bug.

pub(crate) mod agents;
pub(crate) mod deployments;
pub(crate) mod discovery;
pub(crate) mod enrollment;
pub(crate) mod exec;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod legacy_agents;
pub(crate) mod logs;
pub(crate) mod namespaces;
pub(crate) mod nodes;
pub(crate) mod rebalance;
pub(crate) mod services;
pub(crate) mod stats;
pub(crate) mod tasks;
pub(crate) mod users;
pub(crate) mod version;

use std::sync::Arc;

use orch_core::command::Rejection;
use orch_core::control_plane::query::View;
use orch_core::id::ServiceId;
use orch_core::service::Service;

use super::body::Answer;
use super::error::ApiError;

/// What a handler answers with.
pub(crate) type Reply<E> = Result<Answer<E>, ApiError>;

/// A service that the caller may see; one of another namespace is as if it were not.
pub(crate) fn service(view: &View, id: ServiceId) -> Result<&Arc<Service>, ApiError> {
    let service = view.cluster().service(id).filter(|service| view.visible(&service.namespace));
    service.ok_or_else(|| Rejection::not_found("service", id).into())
}
