//! [`OidcUsers`]: from a token of a foreign issuer to a user.

use std::time::Duration;

use async_trait::async_trait;
use orch_core::identity::{AuthError, Grants, UserAuthenticator, UserIdentity, UserProof};
use orch_core::name::Subject;
use serde_json::{Map, Value};

use super::cache::FetchedKeys;
use super::jwks::{KeySet, PublicKey, name_of};
use super::mapping::{ClaimPath, RoleMapping};
use crate::jwt::claims::{Claims, LEEWAY};
use crate::jwt::{StaticUsers, header, ring_provider, signed};
use crate::live::Live;

/// Kinds of tokens that say who a user is. What else an issuer signs (a logout token, say) is none.
const KINDS: [&str; 2] = ["jwt", "at+jwt"];

/// Where an issuer's keys come from.
#[derive(Debug)]
pub enum IssuerKeys {
    /// At hand, and replaced by whoever holds the other end: from a file.
    Live(Live<KeySet>),
    /// Fetched from the issuer.
    Fetched(FetchedKeys),
}

impl IssuerKeys {
    async fn find(&self, kid: Option<&str>) -> Result<Vec<PublicKey>, AuthError> {
        match self {
            Self::Live(keys) => Ok(keys.get().find(kid)),
            Self::Fetched(keys) => keys.find(kid).await.map_err(|none| AuthError::Unavailable(none.into())),
        }
    }
}

/// Authenticates users by tokens of one issuer: RS256, ES256 or EdDSA, with `iss`, `aud` and `exp`.
#[derive(Debug)]
pub struct OidcUsers {
    issuer: String,
    audience: String,
    keys: IssuerKeys,
    leeway: Duration,
    subject_claim: ClaimPath,
    subject_prefix: String,
    mapping: RoleMapping,
    users: StaticUsers,
}

impl OidcUsers {
    /// Of this issuer, for this audience, both exactly as the tokens have them.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: IssuerKeys) -> Self {
        ring_provider::install();
        Self {
            issuer: issuer.into(),
            audience: audience.into(),
            keys,
            leeway: LEEWAY,
            subject_claim: "sub".parse().expect("a claim's name"),
            subject_prefix: String::new(),
            mapping: RoleMapping::default(),
            users: StaticUsers::default(),
        }
    }

    /// By how much the issuer's clock may differ from ours, either way. Default: 60 seconds.
    #[must_use]
    pub const fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Which claim says who the user is, and what is put before it so that nobody's name is another's from elsewhere. Default:
    /// `sub`, and nothing.
    #[must_use]
    pub fn with_subject(mut self, claim: ClaimPath, prefix: impl Into<String>) -> Self {
        self.subject_claim = claim;
        self.subject_prefix = prefix.into();
        self
    }

    /// What the claims mean. Default: those of our own tokens.
    #[must_use]
    pub fn with_mapping(mut self, mapping: RoleMapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Only these users, with these roles, whatever the claims say. An empty list changes nothing.
    #[must_use]
    pub fn with_users(mut self, users: StaticUsers) -> Self {
        self.users = users;
        self
    }

    /// Fetches the issuer's keys ahead of the first token. Answers whether there are any.
    pub async fn warm_up(&self) -> bool {
        match &self.keys {
            IssuerKeys::Live(_) => true,
            IssuerKeys::Fetched(keys) => keys.warm_up().await,
        }
    }

    async fn identify(&self, token: &str, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let unproven = |problem: &str| AuthError::Unproven(problem.to_owned());
        let header = header::check(token).map_err(unproven)?;
        // Else any text could make us ask the issuer.
        if header::stated_issuer(token).as_ref() != Some(&self.issuer) {
            return Err(unproven("the token is from another issuer"));
        }
        let keys = self.keys.find(header.kid.as_deref()).await?;
        if keys.is_empty() {
            return Err(unproven("the token is signed with a key that the issuer does not have"));
        }
        let payload = keys
            .iter()
            .filter(|key| name_of(key.algorithm) == header.alg)
            .find_map(|key| signed::payload(token, &key.key, key.algorithm))
            .ok_or_else(|| unproven("the token's signature is not valid"))?;
        let kind = header.typ.unwrap_or_else(|| "JWT".to_owned()).to_ascii_lowercase();
        if !KINDS.contains(&kind.trim_start_matches("application/")) {
            return Err(AuthError::Refused(
                "the token is of a kind that does not say who a user is".to_owned(),
            ));
        }
        self.accept(&payload, proof).map_err(AuthError::Refused)
    }

    fn accept(&self, payload: &[u8], proof: &UserProof) -> Result<UserIdentity, String> {
        let not_understood = |_| "the token's claims are not understood".to_owned();
        let claims: Claims = serde_json::from_slice(payload).map_err(not_understood)?;
        let all: Map<String, Value> = serde_json::from_slice(payload).map_err(not_understood)?;
        claims.check_time(proof.now, self.leeway, self.leeway, true)?;
        if claims.iss.as_ref() != Some(&self.issuer) {
            return Err("the token is from another issuer".to_owned());
        }
        if !claims.aud.as_ref().is_some_and(|aud| aud.holds(&self.audience)) {
            return Err("the token is for another audience".to_owned());
        }
        let subject =
            self.subject_claim.find(&all).and_then(Value::as_str).filter(|sub| !sub.trim().is_empty());
        let subject = subject.ok_or_else(|| format!("the token has no usable `{}`", self.subject_claim))?;
        let subject: Subject = format!("{}{subject}", self.subject_prefix)
            .parse()
            .map_err(|_| format!("the token has no usable `{}`", self.subject_claim))?;
        let grants = if self.users.is_empty() {
            let grants = self.mapping.grants(&all);
            if grants == Grants::default() {
                return Err("the token's claims grant no role here".to_owned());
            }
            grants
        } else {
            Grants::cluster(self.users.role(&subject).ok_or("the token's subject is not one of the users")?)
        };
        Ok(UserIdentity::new(subject, grants).issued_at(claims.issued_at()))
    }
}

#[async_trait]
impl UserAuthenticator for OidcUsers {
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let token = proof.bearer.as_ref().ok_or(AuthError::Missing)?;
        self.identify(token.expose(), proof).await
    }

    /// A token that names this issuer, whatever it is signed with.
    fn recognises(&self, proof: &UserProof) -> bool {
        let stated = proof.bearer.as_ref().and_then(|token| header::stated_issuer(token.expose()));
        stated.as_ref() == Some(&self.issuer)
    }
}
