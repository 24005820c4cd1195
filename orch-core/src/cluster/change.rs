//! [`Change`]: one row that becomes true. Whole rows, so applying is total and the last write of a row wins.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::id::{ApiTokenId, DeploymentId, EnrollmentTokenId, NodeId, ServiceId, TaskId};
use crate::identity::{EnrollmentToken, NodeCredential};
use crate::name::{Namespace, Subject};
use crate::node::Node;
use crate::record::{Receipt, ReceiptKey};
use crate::service::{Service, ServiceRevision, Version};
use crate::task::Task;
use crate::time::Timestamp;
use crate::user::{ApiToken, User};

/// A namespace as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its name.
    pub name: Namespace,
    /// When it was made.
    pub created_at: Timestamp,
}

/// One row, written or removed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A namespace is.
    Namespace(Arc<NamespaceRecord>),
    /// A node is so.
    Node(Arc<Node>),
    /// A node's credential is so.
    Credential(Arc<NodeCredential>),
    /// An enrolment token is so.
    EnrollmentToken(Arc<EnrollmentToken>),
    /// A service is so.
    Service(Arc<Service>),
    /// A service has this revision.
    ServiceRevision(Arc<ServiceRevision>),
    /// A task is so.
    Task(Arc<Task>),
    /// A deployment is so.
    Deployment(Arc<Deployment>),
    /// A request was carried out.
    Receipt(Arc<Receipt>),
    /// A user is so.
    User(Arc<User>),
    /// An API token is.
    ApiToken(Arc<ApiToken>),
    /// The row is no more.
    Remove(Key),
}

/// What identifies a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A namespace.
    Namespace(Namespace),
    /// A node.
    Node(NodeId),
    /// The credential of a node.
    Credential(NodeId),
    /// An enrolment token.
    EnrollmentToken(EnrollmentTokenId),
    /// A service.
    Service(ServiceId),
    /// A version of a service.
    ServiceRevision(ServiceId, Version),
    /// A task.
    Task(TaskId),
    /// A deployment.
    Deployment(DeploymentId),
    /// A receipt.
    Receipt(ReceiptKey),
    /// A user.
    User(Subject),
    /// An API token.
    ApiToken(ApiTokenId),
}

impl Change {
    /// Which row it writes or removes.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Namespace(row) => Key::Namespace(row.name.clone()),
            Self::Node(row) => Key::Node(row.id),
            Self::Credential(row) => Key::Credential(row.node),
            Self::EnrollmentToken(row) => Key::EnrollmentToken(row.id),
            Self::Service(row) => Key::Service(row.id),
            Self::ServiceRevision(row) => Key::ServiceRevision(row.service, row.version),
            Self::Task(row) => Key::Task(row.id),
            Self::Deployment(row) => Key::Deployment(row.id),
            Self::Receipt(row) => Key::Receipt(row.key.clone()),
            Self::User(row) => Key::User(row.name.clone()),
            Self::ApiToken(row) => Key::ApiToken(row.id),
            Self::Remove(key) => key.clone(),
        }
    }
}

macro_rules! from_row {
    ($($row:ident),*) => {$(
        impl From<$row> for Change {
            fn from(row: $row) -> Self { Self::$row(Arc::new(row)) }
        }
    )*};
}
from_row!(Node, EnrollmentToken, Service, ServiceRevision, Task, Deployment, Receipt, User, ApiToken);

impl From<NodeCredential> for Change {
    fn from(row: NodeCredential) -> Self {
        Self::Credential(Arc::new(row))
    }
}

impl From<NamespaceRecord> for Change {
    fn from(row: NamespaceRecord) -> Self {
        Self::Namespace(Arc::new(row))
    }
}
