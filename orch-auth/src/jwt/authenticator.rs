//! [`JwtUsers`]: from a bearer token to a user.

use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use orch_core::identity::{AuthError, Grants, Role, UserAuthenticator, UserIdentity, UserProof};
use orch_core::name::Subject;
use orch_core::secret::Secret;

use super::claims::{Claims, LEEWAY};
use super::{KeyRing, StaticUsers, header, ring_provider, signed};
use crate::live::Live;

/// The shortest HS256 secret that is taken: 32 bytes, the length of the hash (RFC 7518, 3.2).
pub const SHORTEST_KEY: usize = 32;

/// The secret is too short for HS256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the JWT secret has {length} bytes; HS256 needs at least {SHORTEST_KEY}")]
pub struct WeakKey {
    /// How long it is.
    pub length: usize,
}

pub(super) fn check_length(secret: &Secret<String>) -> Result<(), WeakKey> {
    let length = secret.expose().len();
    if length < SHORTEST_KEY { Err(WeakKey { length }) } else { Ok(()) }
}

/// Authenticates users by HS256 tokens.
#[derive(Clone)]
pub struct JwtUsers {
    ring: Live<KeyRing>,
    users: StaticUsers,
    issuer: Option<String>,
    audience: Option<String>,
    exp_required: bool,
}

impl JwtUsers {
    /// With this secret, as a ring of one; `exp` required, roles from the token.
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_KEY`].
    pub fn new(secret: &Secret<String>) -> Result<Self, WeakKey> {
        Ok(Self::with_ring(Live::new(KeyRing::single(secret)?)))
    }

    /// With a ring of keys, which may be replaced while serving; `exp` required, roles from the token.
    #[must_use]
    pub fn with_ring(ring: Live<KeyRing>) -> Self {
        ring_provider::install();
        let users = StaticUsers::default();
        Self { ring, users, issuer: None, audience: None, exp_required: true }
    }

    /// Only these users, with these roles. An empty list changes nothing.
    #[must_use]
    pub fn with_users(mut self, users: StaticUsers) -> Self {
        self.users = users;
        self
    }

    /// Tokens must carry this `iss`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Tokens must carry this `aud`.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Tokens without `exp` are taken: they never end. For issuers that cannot be changed.
    #[must_use]
    pub const fn without_required_expiry(mut self) -> Self {
        self.exp_required = false;
        self
    }

    fn identify(&self, token: &str, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let unproven = |problem: &str| AuthError::Unproven(problem.to_owned());
        let header = header::check(token).map_err(unproven)?;
        if header.alg != "HS256" {
            return Err(unproven("the token's algorithm is not HS256"));
        }
        let ring = self.ring.get();
        let mut keys = ring.candidates(header.kid.as_deref(), proof.now).peekable();
        if keys.peek().is_none() {
            return Err(unproven("the token is signed with a key that is not known, or no longer good"));
        }
        let payload = keys
            .find_map(|key| signed::payload(token, key, Algorithm::HS256))
            .ok_or_else(|| unproven("the token's signature is not valid"))?;
        let claims = serde_json::from_slice(&payload)
            .map_err(|_| AuthError::Refused("the token's claims are not understood".to_owned()))?;
        self.accept(&claims, proof).map_err(AuthError::Refused)
    }

    fn accept(&self, claims: &Claims, proof: &UserProof) -> Result<UserIdentity, String> {
        claims.check_time(proof.now, Duration::ZERO, LEEWAY, self.exp_required)?;
        if self.issuer.is_some() && self.issuer != claims.iss {
            return Err("the token is from another issuer".to_owned());
        }
        if let Some(wanted) = &self.audience
            && !claims.aud.as_ref().is_some_and(|aud| aud.holds(wanted))
        {
            return Err("the token is for another audience".to_owned());
        }
        let subject = claims.subject()?;
        let grants = if self.users.is_empty() {
            claims.grants()?
        } else {
            Grants::cluster(self.users.role(&subject).ok_or("the token's subject is not one of the users")?)
        };
        Ok(UserIdentity::new(subject, grants).issued_at(claims.issued_at()))
    }
}

impl std::fmt::Debug for JwtUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtUsers")
            .field("ring", &self.ring.get())
            .field("users", &self.users)
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl UserAuthenticator for JwtUsers {
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let token = proof.bearer.as_ref().ok_or(AuthError::Missing)?;
        self.identify(token.expose(), proof)
    }

    /// A bearer token of three parts; with an issuer configured, of that issuer.
    fn recognises(&self, proof: &UserProof) -> bool {
        proof.bearer.as_ref().is_some_and(|token| match &self.issuer {
            None => header::has_form(token.expose()),
            Some(issuer) => header::stated_issuer(token.expose()).as_ref() == Some(issuer),
        })
    }
}

/// User authentication switched off: whoever comes is `anonymous`, and an admin.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUserAuth;

#[async_trait]
impl UserAuthenticator for NoUserAuth {
    async fn authenticate(&self, _: &UserProof) -> Result<UserIdentity, AuthError> {
        Ok(UserIdentity::new(Subject::anonymous(), Grants::cluster(Role::Admin)))
    }
}
