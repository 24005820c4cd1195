//! [`CredentialIssuer`] and [`CredentialValidator`]: making node credentials, and recognising those once made.
//!
//! Which of them is alive is state, decided in [`credential`](super::credential); a backend decides only form and proof.

use async_trait::async_trait;

use super::{CredentialBinding, CredentialDigest, PeerCertificate};
use crate::id::NodeId;
use crate::node::Incarnation;
use crate::secret::Secret;

/// A fresh credential: the token goes to the node and nowhere else, the digest into the store.
#[derive(Debug)]
pub struct IssuedCredential {
    /// What the node will show.
    pub token: Secret<String>,
    /// What the store keeps.
    pub digest: CredentialDigest,
}

/// Makes credentials.
pub trait CredentialIssuer: Send + Sync + 'static {
    /// A new credential for a node's registration. `entropy` is fresh and used for nothing else.
    fn issue(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        generation: u64,
        entropy: [u8; 32],
    ) -> IssuedCredential;
}

/// What a node showed.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct PresentedCredential {
    /// The bearer token.
    pub token: Option<Secret<String>>,
    /// The verified certificate of the connection.
    pub peer: Option<PeerCertificate>,
}

impl PresentedCredential {
    /// A bearer token, on a connection without a client certificate.
    #[must_use]
    pub fn bearer(token: Secret<String>) -> Self {
        Self { token: Some(token), peer: None }
    }

    /// The same, with the connection's certificate.
    #[must_use]
    pub fn with_peer(mut self, peer: Option<PeerCertificate>) -> Self {
        self.peer = peer;
        self
    }
}

/// A credential that this cluster once issued, whether or not it is still alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// For which node.
    pub node: NodeId,
    /// For which registration of it.
    pub incarnation: Incarnation,
    /// Which one: later ones have higher numbers.
    pub generation: u64,
    /// What the store would hold of it.
    pub digest: CredentialDigest,
    /// What it is bound to beside.
    pub binding: CredentialBinding,
}

/// What was shown is no credential of this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a credential of this cluster")]
pub struct NotRecognised;

/// Recognises credentials. Called once a request; cancel-safe; comparison in constant time.
#[async_trait]
pub trait CredentialValidator: Send + Sync + 'static {
    /// Whose credential this is.
    async fn recognise(&self, presented: &PresentedCredential) -> Result<Recognised, NotRecognised>;
}
