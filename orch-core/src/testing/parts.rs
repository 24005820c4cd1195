//! Parts without cryptography, for tests and the simulation: they tell right from wrong, and protect nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::control_plane::{Builder, ControlPlane};
use crate::env::SharedEnv;
use crate::hex;
use crate::id::{ClusterId, NodeId};
use crate::identity::action::Reach;
use crate::identity::{
    Action, Attestation, AuthError, Authorizer, BootstrapProof, Challenge, CredentialBinding,
    CredentialDigest, CredentialIssuer, CredentialValidator, Denied, Enrollment, EnrollmentRefused, Grants,
    IssuedCredential, KeyProof, NodePublicKey, NotRecognised, PresentedCredential, Principal, Proven,
    Recognised, RegistrationClaim, Role, Scope, UserAuthenticator, UserIdentity, UserProof,
};
use crate::name::{Namespace, SecretName};
use crate::node::Incarnation;
use crate::schedule::FilterAndScore;
use crate::secret::{Secret, SecretError, SecretProvider, SecretRef};
use crate::store::Store;
use crate::time::Timestamp;

/// The registration token that [`PlainEnrollment`] takes.
pub const TOKEN: &str = "let-me-in";

/// A control plane of plain parts: users by `subject:role`, nodes by [`TOKEN`], no secrets.
pub fn plain(env: SharedEnv, store: Arc<dyn Store>) -> Builder {
    ControlPlane::builder(env, store)
        .users(Arc::new(PlainUsers))
        .authorizer(Arc::new(ByRole))
        .credentials(Arc::new(PlainCredentials))
        .enrollment(Arc::new(PlainEnrollment))
        .scheduler(Arc::new(FilterAndScore))
}

/// Takes `subject:role` for a bearer token.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainUsers;

#[async_trait]
impl UserAuthenticator for PlainUsers {
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let token = proof.bearer.as_ref().ok_or(AuthError::Missing)?;
        let refused = || AuthError::Refused("expected `subject:role`".to_owned());
        let (subject, role) = token.expose().split_once(':').ok_or_else(refused)?;
        let role: Role = role.parse().map_err(|_| refused())?;
        Ok(UserIdentity::new(subject.parse().map_err(|_| refused())?, Grants::cluster(role)))
    }
}

/// The principal of a user with a role in the whole cluster.
///
/// # Panics
/// `subject` is no subject.
#[must_use]
pub fn user(subject: &str, role: Role) -> Principal {
    let subject = subject.parse().expect("a subject");
    Principal::User(UserIdentity::new(subject, Grants::cluster(role)))
}

/// The least role of each action, cluster-wide or in the namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByRole;

impl Authorizer for ByRole {
    fn allows(&self, principal: &Principal, action: Action, scope: &Scope) -> Result<(), Denied> {
        let denied = || Denied { action, reason: format!("{} is not allowed", action.as_str()) };
        let (Principal::User(user), Some(least)) = (principal, action.least_role()) else {
            return Err(denied());
        };
        let role = match (scope, action.reach()) {
            (Scope::Namespace(namespace), Reach::Namespace) => user.grants.in_namespace(namespace),
            _ => user.grants.cluster,
        };
        if role >= Some(least) { Ok(()) } else { Err(denied()) }
    }
}

/// Tokens that say in plain text what they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainCredentials;

impl CredentialIssuer for PlainCredentials {
    fn issue(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        generation: u64,
        entropy: [u8; 32],
    ) -> IssuedCredential {
        let token = format!("plain/{node}/{}/{generation}/{}", incarnation.0, hex::encode(&entropy[..8]));
        IssuedCredential { digest: digest(&token), token: Secret::new(token) }
    }
}

#[async_trait]
impl CredentialValidator for PlainCredentials {
    async fn recognise(&self, presented: &PresentedCredential) -> Result<Recognised, NotRecognised> {
        let token = presented.token.as_ref().ok_or(NotRecognised)?.expose();
        let parts: Vec<&str> = token.split('/').collect();
        let ["plain", node, incarnation, generation, _] = parts[..] else { return Err(NotRecognised) };
        Ok(Recognised {
            node: node.parse().map_err(|_| NotRecognised)?,
            incarnation: Incarnation(incarnation.parse().map_err(|_| NotRecognised)?),
            generation: generation.parse().map_err(|_| NotRecognised)?,
            digest: digest(token),
            binding: CredentialBinding::Token,
        })
    }
}

/// Takes [`TOKEN`], and "signatures" that [`sign`] makes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainEnrollment;

#[async_trait]
impl Enrollment for PlainEnrollment {
    fn challenge(
        &self,
        cluster: ClusterId,
        incarnation: u64,
        now: Timestamp,
        entropy: [u8; 32],
    ) -> Challenge {
        Challenge {
            nonce: format!("{}/{}", now.as_micros(), hex::encode(&entropy[..8])),
            cluster,
            incarnation,
        }
    }

    async fn prove(
        &self,
        cluster: ClusterId,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Proven, EnrollmentRefused> {
        let mut proven = Proven::default();
        if let Some(token) = &proof.token {
            if token.expose() != TOKEN {
                return Err(EnrollmentRefused::Token);
            }
            proven.attestation = Some(Attestation::StaticToken);
        }
        if let Some(proof) = &proof.key {
            let made = proof.challenge.nonce.split_once('/').and_then(|(at, _)| at.parse().ok());
            let made = Timestamp::from_micros(made.ok_or(EnrollmentRefused::Challenge)?);
            let life = crate::identity::enrollment::CHALLENGE_LIFE;
            if proof.challenge.cluster != cluster || now.since(made) > life {
                return Err(EnrollmentRefused::Challenge);
            }
            if *proof != sign(&proof.key.0, proof.challenge.clone(), claim) {
                return Err(EnrollmentRefused::Signature);
            }
            proven.key = Some((proof.key.clone(), proof.challenge.incarnation));
        }
        Ok(proven)
    }
}

/// What [`PlainEnrollment`] takes for a signature by `key`.
#[must_use]
pub fn sign(key: &str, challenge: Challenge, claim: &RegistrationClaim) -> KeyProof {
    let mut text = KeyProof::signed_text(&challenge, claim, None);
    text.extend_from_slice(key.as_bytes());
    let signature = hex::encode(ring::digest::digest(&ring::digest::SHA256, &text).as_ref());
    KeyProof { key: NodePublicKey(key.to_owned()), challenge, signature }
}

/// Secrets in memory.
#[derive(Debug, Default)]
pub struct MapSecrets(Mutex<Values>);

type Values = BTreeMap<(Namespace, SecretName), Secret<Vec<u8>>>;

impl MapSecrets {
    /// Sets a secret.
    ///
    /// # Panics
    /// A name is none.
    pub fn set(&self, namespace: &str, name: &str, value: &[u8]) {
        let key = (namespace.parse().expect("a namespace"), name.parse().expect("a secret name"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Secret::new(value.to_vec()));
    }
}

#[async_trait]
impl SecretProvider for MapSecrets {
    async fn exists(&self, namespace: &Namespace, name: &SecretName) -> Result<bool, SecretError> {
        let key = (namespace.clone(), name.clone());
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&key))
    }

    async fn resolve(
        &self,
        namespace: &Namespace,
        reference: &SecretRef,
    ) -> Result<Secret<Vec<u8>>, SecretError> {
        let key = (namespace.clone(), reference.name.clone());
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.get(&key).cloned().ok_or_else(|| SecretError::NotFound(reference.name.clone()))
    }
}

fn digest(token: &str) -> CredentialDigest {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
    CredentialDigest(bytes)
}
