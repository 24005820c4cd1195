//! [`EnrollmentChain`]: possession of a node key, and whoever speaks for new nodes.

use std::sync::Arc;

use async_trait::async_trait;
use orch_core::id::ClusterId;
use orch_core::identity::{
    BootstrapProof, Challenge, Enrollment, EnrollmentRefused, EnrollmentTokenIssuer, NodeAttestor,
    NodePublicKey, Proven, RegistrationClaim,
};
use orch_core::time::Timestamp;

use super::{challenge, signature};
use crate::key::{ServerKey, Use};

/// Judges node keys itself, and asks its attestors, in order, what speaks for a node that is new: the first that knows what
/// was shown is heard. Without any, only nodes whose keys are known get in.
#[derive(Clone)]
pub struct EnrollmentChain {
    key: ServerKey,
    attestors: Vec<Arc<dyn NodeAttestor>>,
}

impl EnrollmentChain {
    /// Without attestors so far. Challenges are sealed under this key.
    #[must_use]
    pub const fn new(key: ServerKey) -> Self {
        Self { key, attestors: Vec::new() }
    }

    /// With one more attestor, asked after those before it.
    #[must_use]
    pub fn attestor(mut self, attestor: impl NodeAttestor) -> Self {
        self.attestors.push(Arc::new(attestor));
        self
    }

    /// Whose key it is, and for which registration it was proven; nothing where no key was shown.
    fn judge_key(
        &self,
        cluster: ClusterId,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Option<(NodePublicKey, u64)>, EnrollmentRefused> {
        let Some(proven) = &proof.key else { return Ok(None) };
        let mut seals = self.key.all(Use::ChallengeSeal);
        let is_fresh = proven.challenge.cluster == cluster
            && seals.any(|key| challenge::is_fresh(&key, cluster, &proven.challenge.nonce, now));
        if !is_fresh {
            return Err(EnrollmentRefused::Challenge);
        }
        if !signature::is_right(proven, claim, proof.server_certificate.as_ref()) {
            return Err(EnrollmentRefused::Signature);
        }
        Ok(Some((proven.key.clone(), proven.challenge.incarnation)))
    }
}

impl std::fmt::Debug for EnrollmentChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollmentChain").field("attestors", &self.attestors.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Enrollment for EnrollmentChain {
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
        let key = self.judge_key(cluster, claim, proof, now)?;
        let mut proven = Proven::default();
        for attestor in &self.attestors {
            match attestor.attest(claim, proof, now).await {
                Ok(None) => {}
                Ok(attestation) => {
                    proven.attestation = attestation;
                    break;
                }
                // Whoever cannot tell at the moment keeps nobody out who has a key: whether that is enough is decided on the state.
                Err(_) if key.is_some() => {}
                Err(refused) => return Err(refused),
            }
        }
        // Nor does a token that was replaced or spent lock out a node that returns by its key.
        if key.is_none() && proven.attestation.is_none() {
            return Err(EnrollmentRefused::Token);
        }
        proven.key = key;
        Ok(proven)
    }

    fn token_issuer(&self) -> Option<&dyn EnrollmentTokenIssuer> {
        self.attestors.iter().find_map(|attestor| attestor.token_issuer())
    }
}
