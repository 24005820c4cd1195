//! Making tokens: for operators at a shell, and for tests.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use orch_core::identity::Role;
use orch_core::name::Subject;
use orch_core::secret::Secret;
use orch_core::time::Timestamp;

use super::authenticator::WeakKey;
use super::claims::Claims;
use super::{KeyRing, ring_provider};

/// Why no token was made.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The secret is too short.
    #[error(transparent)]
    WeakKey(#[from] WeakKey),
    /// The token could not be put together.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A token for a user, with a cluster-wide role, good for `ttl` from `now`.
///
/// # Errors
/// The secret is shorter than [`SHORTEST_KEY`](super::SHORTEST_KEY).
pub fn mint(
    secret: &Secret<String>,
    subject: &Subject,
    role: Role,
    ttl: Duration,
    now: Timestamp,
) -> Result<Secret<String>, MintError> {
    mint_with(&KeyRing::single(secret)?, subject, role, ttl, now)
}

/// The same, signed with the first key of a ring and bearing its name.
///
/// # Errors
/// The token could not be put together.
pub fn mint_with(
    ring: &KeyRing,
    subject: &Subject,
    role: Role,
    ttl: Duration,
    now: Timestamp,
) -> Result<Secret<String>, MintError> {
    ring_provider::install();
    #[expect(clippy::cast_precision_loss, reason = "whole seconds of our era are exact in 53 bits")]
    let second = |at: Timestamp| at.as_micros().div_euclid(1_000_000) as f64;
    let claims = Claims {
        sub: Some(subject.to_string()),
        role: Some(role.as_str().into()),
        iat: Some(second(now)),
        exp: Some(second(now + ttl)),
        ..Claims::default()
    };
    let (kid, secret) = ring.signing();
    let mut header = Header::new(Algorithm::HS256);
    header.kid = kid.map(str::to_owned);
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    jsonwebtoken::encode(&header, &claims, &key).map(Secret::new).map_err(MintError::Sign)
}
