//! Letting nodes in: a static registration token for new ones, the node key for those that return.

mod challenge;
mod signature;

use async_trait::async_trait;
use orch_core::id::ClusterId;
use orch_core::identity::{
    BootstrapProof, Challenge, Enrollment, EnrollmentRefused, Proven, RegistrationClaim,
};
use orch_core::secret::Secret;
use orch_core::time::Timestamp;
use ring::hmac;

use crate::key::{ServerKey, Use, digest32};

/// The shortest registration token that is taken: 16 bytes.
pub const SHORTEST_TOKEN: usize = 16;

/// Enrolment by one static token, kept as a keyed digest, and by node keys.
#[derive(Clone, Debug)]
pub struct StaticToken {
    key: ServerKey,
    token: Option<[u8; 32]>,
    open: bool,
}

impl StaticToken {
    /// No token: only nodes whose key is known get in.
    #[must_use]
    pub const fn closed(key: ServerKey) -> Self {
        Self { key, token: None, open: false }
    }

    /// With a registration token that admits new nodes.
    #[must_use]
    pub fn with_token(key: ServerKey, token: &Secret<String>) -> Self {
        let digest = digest32(&key.current(Use::RegistrationToken), token.expose().trim().as_bytes());
        Self { key, token: Some(digest), open: false }
    }

    /// Whoever comes is let in: for one machine, or a laboratory.
    #[must_use]
    pub const fn open(key: ServerKey) -> Self {
        Self { key, token: None, open: true }
    }

    fn token_is_right(&self, shown: &Secret<String>) -> bool {
        let key = self.key.current(Use::RegistrationToken);
        self.token
            .is_some_and(|expected| hmac::verify(&key, shown.expose().trim().as_bytes(), &expected).is_ok())
    }
}

#[async_trait]
impl Enrollment for StaticToken {
    fn challenge(
        &self,
        cluster: ClusterId,
        incarnation: u64,
        now: Timestamp,
        entropy: [u8; 32],
    ) -> Challenge {
        let nonce = challenge::seal(&self.key.current(Use::ChallengeSeal), cluster, now, &entropy);
        Challenge { nonce, cluster, incarnation }
    }

    async fn prove(
        &self,
        cluster: ClusterId,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Proven, EnrollmentRefused> {
        let key = match &proof.key {
            None => None,
            Some(proven) => {
                let fresh = proven.challenge.cluster == cluster
                    && self
                        .key
                        .all(Use::ChallengeSeal)
                        .any(|key| challenge::is_fresh(&key, cluster, &proven.challenge.nonce, now));
                if !fresh {
                    return Err(EnrollmentRefused::Challenge);
                }
                if !signature::is_right(proven, claim, proof.server_certificate.as_ref()) {
                    return Err(EnrollmentRefused::Signature);
                }
                Some((proven.key.clone(), proven.challenge.incarnation))
            }
        };
        let token = proof.token.as_ref().is_some_and(|shown| self.token_is_right(shown));
        // A token that was replaced must not lock out a node that returns by its key: whether the key is enough is decided
        // on the state.
        if key.is_none() && !token && !self.open {
            return Err(EnrollmentRefused::Token);
        }
        Ok(Proven { token, key, open: self.open })
    }
}
