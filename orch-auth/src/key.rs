//! [`ServerKey`]: one secret, from which a key for each use is derived. The same on all servers of a cluster.

use orch_core::secret::Secret;
use ring::{hkdf, hmac};

/// The shortest secret that a server key is derived from: 16 bytes.
pub const SHORTEST_SECRET: usize = 16;

/// Keys derived from `ORCH_SECRET_KEY`; a ring of two, so that the secret can be replaced while serving.
#[derive(Clone)]
pub struct ServerKey {
    current: hkdf::Prk,
    previous: Option<hkdf::Prk>,
}

/// The secret is too short to derive keys from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's secret key has {length} bytes; at least {SHORTEST_SECRET} are needed")]
pub struct KeyTooShort {
    /// How long it is.
    pub length: usize,
}

/// What a derived key is used for. A key made for one use is worth nothing for another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// The tag inside a node credential.
    CredentialTag,
    /// The keyed hash of a node credential, as stored.
    CredentialDigest,
    /// The keyed hash of an API token, as stored.
    ApiTokenDigest,
    /// The seal of a registration challenge.
    ChallengeSeal,
    /// The tag inside an enrolment token.
    EnrollmentTag,
    /// The keyed hash of an enrolment token, as stored.
    EnrollmentDigest,
    /// Comparison of registration tokens.
    RegistrationToken,
    /// The keyed digest of a request, for idempotency receipts.
    RequestDigest,
}

impl Use {
    const fn info(self) -> &'static [u8] {
        match self {
            Self::CredentialTag => b"orch v1 node credential tag",
            Self::CredentialDigest => b"orch v1 node credential digest",
            Self::ApiTokenDigest => b"orch v1 api token digest",
            Self::ChallengeSeal => b"orch v1 registration challenge",
            Self::EnrollmentTag => b"orch v1 enrolment token tag",
            Self::EnrollmentDigest => b"orch v1 enrolment token digest",
            Self::RegistrationToken => b"orch v1 registration token",
            Self::RequestDigest => b"orch v1 request digest",
        }
    }
}

impl ServerKey {
    /// Derives from a secret: HKDF with SHA-256 (RFC 5869).
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_SECRET`].
    pub fn derive(secret: &Secret<String>) -> Result<Self, KeyTooShort> {
        Ok(Self { current: extract(secret)?, previous: None })
    }

    /// The same, while what the secret before made is still good.
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_SECRET`].
    pub fn with_previous(mut self, secret: &Secret<String>) -> Result<Self, KeyTooShort> {
        self.previous = Some(extract(secret)?);
        Ok(self)
    }

    /// A keyed digest of a request's canonical form: what idempotency receipts hold of it.
    #[must_use]
    pub fn request_digest(&self, canonical: &[u8]) -> [u8; 32] {
        digest32(&self.current(Use::RequestDigest), canonical)
    }

    /// The key that new things are made with.
    pub(crate) fn current(&self, purpose: Use) -> hmac::Key {
        expand(&self.current, purpose)
    }

    /// The keys that things may have been made with, newest first.
    pub(crate) fn all(&self, purpose: Use) -> impl Iterator<Item = hmac::Key> + '_ {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .map(move |prk| expand(prk, purpose))
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey([REDACTED])")
    }
}

fn extract(secret: &Secret<String>) -> Result<hkdf::Prk, KeyTooShort> {
    let secret = secret.expose().as_bytes();
    if secret.len() < SHORTEST_SECRET {
        return Err(KeyTooShort { length: secret.len() });
    }
    Ok(hkdf::Salt::new(hkdf::HKDF_SHA256, b"orch server key").extract(secret))
}

fn expand(prk: &hkdf::Prk, purpose: Use) -> hmac::Key {
    prk.expand(&[purpose.info()], hmac::HMAC_SHA256).expect("32 bytes are within HKDF's limit").into()
}

/// HMAC-SHA256 as an array.
pub(crate) fn digest32(key: &hmac::Key, message: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hmac::sign(key, message).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ServerKey {
        ServerKey::derive(&Secret::new(text.to_owned())).unwrap()
    }

    #[test]
    fn equal_secrets_derive_equal_keys_and_each_use_has_its_own() {
        let (a, b) = (key("0123456789abcdef"), key("0123456789abcdef"));
        let tag = |key: &ServerKey, purpose| digest32(&key.current(purpose), b"x");
        assert_eq!(tag(&a, Use::CredentialTag), tag(&b, Use::CredentialTag));
        assert_ne!(tag(&a, Use::CredentialTag), tag(&a, Use::CredentialDigest));
        assert_ne!(tag(&a, Use::CredentialTag), tag(&key("fedcba9876543210"), Use::CredentialTag));
    }

    #[test]
    fn a_short_secret_is_refused_with_its_length() {
        let error = ServerKey::derive(&Secret::new("short".to_owned())).unwrap_err();
        assert_eq!(error, KeyTooShort { length: 5 });
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key("0123456789abcdef")), "ServerKey([REDACTED])");
    }
}
