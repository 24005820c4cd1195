//! [`ServerPin`]: which servers an enrolment token is for.

use std::fmt;

/// SHA-256 of the public key (SubjectPublicKeyInfo, DER) of a certificate that a cluster's servers show: their authority's, where
/// that stands in the chain, else their own. An agent that holds a token with it needs no other file to know its server.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServerPin(pub [u8; 32]);

impl ServerPin {
    /// Of a public key in DER.
    #[must_use]
    pub fn of(spki: &[u8]) -> Self {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, spki).as_ref());
        Self(digest)
    }
}

impl fmt::Display for ServerPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", crate::hex::encode(&self.0))
    }
}

impl fmt::Debug for ServerPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerPin({self})")
    }
}

impl std::str::FromStr for ServerPin {
    type Err = super::InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<super::KeyFingerprint>().map(|fingerprint| Self(fingerprint.0))
    }
}
