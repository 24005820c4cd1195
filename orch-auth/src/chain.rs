//! [`UserChain`]: several ways in, side by side.

use std::sync::Arc;

use async_trait::async_trait;
use orch_core::identity::{AuthError, UserAuthenticator, UserIdentity, UserProof};

/// What whoever shows something that nobody made is told: the same, whichever of the authenticators looked at it.
const NOT_ACCEPTED: &str = "the token is not accepted";

/// Authenticators in order. The first that recognises a proof by its form judges it, and no other: what one refuses, another
/// cannot let in. A stranger does not learn which one that was.
#[derive(Clone, Default)]
pub struct UserChain {
    links: Vec<Arc<dyn UserAuthenticator>>,
}

impl UserChain {
    /// Without a way in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, asked after those that are there.
    #[must_use]
    pub fn with(mut self, link: Arc<dyn UserAuthenticator>) -> Self {
        self.links.push(link);
        self
    }
}

#[async_trait]
impl UserAuthenticator for UserChain {
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        if proof.bearer.is_none() && proof.peer.is_none() {
            return Err(AuthError::Missing);
        }
        let not_accepted = || AuthError::Unproven(NOT_ACCEPTED.to_owned());
        let link = self.links.iter().find(|link| link.recognises(proof)).ok_or_else(not_accepted)?;
        link.authenticate(proof).await.map_err(|error| match error {
            AuthError::Unproven(problem) => {
                tracing::debug!(problem, "a user was not let in");
                not_accepted()
            }
            other => other,
        })
    }

    fn recognises(&self, proof: &UserProof) -> bool {
        self.links.iter().any(|link| link.recognises(proof))
    }
}

impl std::fmt::Debug for UserChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserChain").field("links", &self.links.len()).finish()
    }
}
