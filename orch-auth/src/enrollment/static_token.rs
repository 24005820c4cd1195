//! [`StaticToken`]: one token that all new nodes share.

use async_trait::async_trait;
use orch_core::identity::{Attestation, BootstrapProof, EnrollmentRefused, NodeAttestor, RegistrationClaim};
use orch_core::secret::Secret;
use orch_core::time::Timestamp;
use ring::hmac;

use crate::key::{ServerKey, Use, digest32};

/// The shortest registration token that is taken: 16 bytes.
pub const SHORTEST_TOKEN: usize = 16;

/// Speaks for whoever has the one static token, which is kept as a keyed digest.
#[derive(Clone, Debug)]
pub struct StaticToken {
    key: ServerKey,
    digest: [u8; 32],
}

impl StaticToken {
    /// With this token.
    #[must_use]
    pub fn new(key: ServerKey, token: &Secret<String>) -> Self {
        let digest = digest32(&key.current(Use::RegistrationToken), token.expose().trim().as_bytes());
        Self { key, digest }
    }

    /// In constant time.
    fn is(&self, shown: &Secret<String>) -> bool {
        let key = self.key.current(Use::RegistrationToken);
        hmac::verify(&key, shown.expose().trim().as_bytes(), &self.digest).is_ok()
    }
}

#[async_trait]
impl NodeAttestor for StaticToken {
    async fn attest(
        &self,
        _: &RegistrationClaim,
        proof: &BootstrapProof,
        _: Timestamp,
    ) -> Result<Option<Attestation>, EnrollmentRefused> {
        let is_right = proof.token.as_ref().is_some_and(|shown| self.is(shown));
        Ok(is_right.then_some(Attestation::StaticToken))
    }
}
