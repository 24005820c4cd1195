//! [`UserAuthenticator`]: from a bearer token or a peer certificate to a user.

use async_trait::async_trait;

use super::{PeerCertificate, UserIdentity};
use crate::secret::Secret;
use crate::time::Timestamp;

/// What a user showed.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct UserProof {
    /// The token of `Authorization: Bearer …`.
    pub bearer: Option<Secret<String>>,
    /// The verified certificate of the connection.
    pub peer: Option<PeerCertificate>,
    /// Cluster time of the request: what expiry is judged by.
    pub now: Timestamp,
}

impl UserProof {
    /// Nothing shown yet, at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now, ..Self::default() }
    }
}

/// Tells who a user is. Called once a request; cancel-safe.
#[async_trait]
pub trait UserAuthenticator: Send + Sync + 'static {
    /// The user behind the proof.
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError>;

    /// Whether this is the one to judge such a proof, by its form alone: nothing is proven by it. Where several stand in a
    /// chain, the first that says yes decides, and no other is asked. Must not block.
    fn recognises(&self, proof: &UserProof) -> bool {
        let _ = proof;
        true
    }
}

/// Why a user is not let in. The message goes to the caller: it says what is wrong with *his* token, and quotes nothing.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Nothing was shown.
    #[error("authentication is required")]
    Missing,
    /// What was shown is ours, and not accepted.
    #[error("{0}")]
    Refused(String),
    /// Nothing says that what was shown was ever made by anyone we trust. Where several authenticators stand side by side, the
    /// caller is not told more than that.
    #[error("{0}")]
    Unproven(String),
    /// The backend cannot tell at the moment.
    #[error("the authentication backend is not available")]
    Unavailable(#[source] crate::BoxError),
}
