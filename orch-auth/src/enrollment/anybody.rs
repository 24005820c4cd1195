//! [`Anybody`]: nobody is asked.

use async_trait::async_trait;
use orch_core::identity::{Attestation, BootstrapProof, EnrollmentRefused, NodeAttestor, RegistrationClaim};
use orch_core::time::Timestamp;

/// Speaks for whoever comes: for one machine, or a laboratory. Belongs at the end of a chain.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anybody;

#[async_trait]
impl NodeAttestor for Anybody {
    async fn attest(
        &self,
        _: &RegistrationClaim,
        _: &BootstrapProof,
        _: Timestamp,
    ) -> Result<Option<Attestation>, EnrollmentRefused> {
        Ok(Some(Attestation::Open))
    }
}
