//! [`Attestation`]: what speaks for a node that is new; and [`NodeAttestor`], which recognises one kind of it.

use async_trait::async_trait;

use super::{BootstrapProof, CredentialDigest, EnrollmentRefused, EnrollmentTokenIssuer, RegistrationClaim};
use crate::id::EnrollmentTokenId;
use crate::time::Timestamp;

/// What speaks for a node that the cluster does not know, or knows without a key.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// The static registration token.
    StaticToken,
    /// A one-time token that this cluster once made. Whether it still admits this node is decided on the state, in the
    /// transaction that spends it.
    OneTimeToken(ShownToken),
    /// Something that an embedder's own attestor knows, in a word for people.
    Other(String),
    /// Nobody is asked: loopback or `--insecure` only.
    Open,
}

/// A one-time token, as it was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownToken {
    /// Which it says it is.
    pub id: EnrollmentTokenId,
    /// Its keyed hash, which must be the one that is kept.
    pub digest: CredentialDigest,
}

/// Recognises one kind of proof for new nodes. Several stand in a chain: the first that knows what was shown speaks.
///
/// Called once a registration, before anything is written; cancel-safe.
#[async_trait]
pub trait NodeAttestor: Send + Sync + 'static {
    /// What was shown, if this attestor knows it. `None` is no refusal: another may know it, and a node that the cluster
    /// knows by its key needs none.
    async fn attest(
        &self,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Option<Attestation>, EnrollmentRefused>;

    /// Makes the one-time tokens that it recognises, if it is one for these.
    fn token_issuer(&self) -> Option<&dyn EnrollmentTokenIssuer> {
        None
    }
}
