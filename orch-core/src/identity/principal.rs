//! Principals: who is asking, once that has been proven.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::NodeId;
use crate::name::{Namespace, Subject};
use crate::node::Incarnation;

/// Who is asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, with what it was granted.
    User(UserIdentity),
    /// A node, as its credential proved it.
    Node(NodePrincipal),
    /// The control plane itself, by the name of the part.
    System(&'static str),
}

/// A user, once authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdentity {
    /// Who.
    pub subject: Subject,
    /// What it may.
    pub grants: Grants,
}

/// Roles of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// In the whole cluster.
    pub cluster: Option<Role>,
    /// In single namespaces.
    pub namespaces: BTreeMap<Namespace, Role>,
}

impl Grants {
    /// A role in the whole cluster.
    #[must_use]
    pub const fn cluster(role: Role) -> Self {
        Self { cluster: Some(role), namespaces: BTreeMap::new() }
    }

    /// The highest role that holds in a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &Namespace) -> Option<Role> {
        self.cluster.max(self.namespaces.get(namespace).copied())
    }
}

/// A node, once its credential was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePrincipal {
    /// Which node.
    pub node: NodeId,
    /// Which registration of it.
    pub incarnation: Incarnation,
    /// The generation of the credential that it showed.
    pub generation: u64,
    /// The request's sequence number; `None` from agents that send none.
    pub sequence: Option<u64>,
}

/// The verified certificate of a TLS peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its one URI name, if it is a SPIFFE id.
    pub spiffe_id: Option<String>,
    /// SHA-256 of the DER form.
    pub thumbprint: [u8; 32],
}

/// Where a request came from: what audit records keep beside the principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's id.
    pub request_id: Option<String>,
    /// The peer's address.
    pub source_ip: Option<String>,
}
