//! Principals: who is asking, once that has been proven.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Role;
use crate::id::{ApiTokenId, NodeId};
use crate::name::{Namespace, Subject};
use crate::node::Incarnation;
use crate::time::Timestamp;

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
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdentity {
    /// Who.
    pub subject: Subject,
    /// What it may.
    pub grants: Grants,
    /// When what was shown was issued; `None`: it does not say.
    pub issued_at: Option<Timestamp>,
    /// The API token that was shown.
    pub token: Option<ApiTokenId>,
}

impl UserIdentity {
    /// By something that does not say when it was issued.
    #[must_use]
    pub const fn new(subject: Subject, grants: Grants) -> Self {
        Self { subject, grants, issued_at: None, token: None }
    }

    /// By something that was issued then.
    #[must_use]
    pub const fn issued_at(mut self, at: Option<Timestamp>) -> Self {
        self.issued_at = at;
        self
    }
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

    /// Whether nothing is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cluster.is_none() && self.namespaces.is_empty()
    }

    /// The highest role that holds in a namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &Namespace) -> Option<Role> {
        self.cluster.max(self.namespaces.get(namespace).copied())
    }
}

/// `operator`, or `viewer, team-a: admin`.
impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.cluster.iter().map(ToString::to_string);
        let namespaces = self.namespaces.iter().map(|(name, role)| format!("{name}: {role}"));
        f.write_str(&cluster.chain(namespaces).collect::<Vec<_>>().join(", "))
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
