//! [`JwtUsers`]: from a bearer token to a user.

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use orch_core::identity::{AuthError, Grants, Role, UserAuthenticator, UserIdentity, UserProof};
use orch_core::name::Subject;
use orch_core::secret::Secret;

use super::claims::Claims;
use super::{StaticUsers, header, ring_provider};

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
    key: DecodingKey,
    validation: Validation,
    users: StaticUsers,
    issuer: Option<String>,
    audience: Option<String>,
    exp_required: bool,
}

impl JwtUsers {
    /// With this secret; `exp` required, roles from the token.
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_KEY`].
    pub fn new(secret: &Secret<String>) -> Result<Self, WeakKey> {
        ring_provider::install();
        check_length(secret)?;
        // Times, issuer and audience are checked by us, against cluster time and only where configured.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let key = DecodingKey::from_secret(secret.expose().as_bytes());
        let users = StaticUsers::default();
        Ok(Self { key, validation, users, issuer: None, audience: None, exp_required: true })
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

    fn identify(&self, token: &str, proof: &UserProof) -> Result<UserIdentity, String> {
        header::check(token)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => {
                    "the token's signature is not valid".to_owned()
                }
                _ => "the token's claims are not understood".to_owned(),
            })?
            .claims;
        claims.check_time(proof.now, self.exp_required)?;
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
        Ok(UserIdentity { subject, grants })
    }
}

impl std::fmt::Debug for JwtUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtUsers")
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
        self.identify(token.expose(), proof).map_err(AuthError::Refused)
    }
}

/// User authentication switched off: whoever comes is `anonymous`, and an admin.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUserAuth;

#[async_trait]
impl UserAuthenticator for NoUserAuth {
    async fn authenticate(&self, _: &UserProof) -> Result<UserIdentity, AuthError> {
        Ok(UserIdentity { subject: Subject::anonymous(), grants: Grants::cluster(Role::Admin) })
    }
}
