//! [`Enrollment`]: may this bootstrap proof register this node?

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attestation, EnrollmentTokenIssuer, PeerCertificate};
use crate::hex;
use crate::id::{BootId, ClusterId};
use crate::name::NodeName;
use crate::node::{NodeFacts, Resources};
use crate::secret::Secret;
use crate::time::Timestamp;

/// How long a challenge is good: 60 seconds, on any server.
pub const CHALLENGE_LIFE: Duration = Duration::from_secs(60);

/// A node's public key: uncompressed P-256 point, base64url in text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodePublicKey(pub String);

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePublicKey({})", self.0.get(..12).unwrap_or(&self.0))
    }
}

/// A nonce sealed with time and cluster id. Opaque to the agent, except that it signs it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Challenge {
    /// The sealed nonce.
    pub nonce: String,
    /// Which cluster asks.
    pub cluster: ClusterId,
    /// The registration that the node has so far, 0 if none: signed along, so that a replay is stale.
    pub incarnation: u64,
}

/// What a node says of itself when it registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationClaim {
    /// Its name.
    pub name: NodeName,
    /// Where its published ports are reached.
    pub advertise_address: String,
    /// Its labels.
    #[serde(default)]
    pub labels: std::collections::BTreeMap<String, String>,
    /// What it is by itself. Left out of what is signed where nothing is known, as by agents that know no facts.
    #[serde(default, skip_serializing_if = "NodeFacts::is_empty")]
    pub facts: NodeFacts,
    /// What the machine has.
    pub capacity: Resources,
    /// What tasks may use.
    pub allocatable: Resources,
    /// Version of its agent.
    pub agent_version: String,
    /// Which boot of the agent this is; `None` from agents without.
    #[serde(default)]
    pub boot: Option<BootId>,
}

impl RegistrationClaim {
    /// SHA-256 over the claim's canonical JSON: what the node's key signs of it.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let json = serde_json::to_vec(self).expect("a claim is plain data");
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &json).as_ref());
        digest
    }
}

/// Proof that the node holds the private key.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct KeyProof {
    /// The public half.
    pub key: NodePublicKey,
    /// The challenge, as it was given.
    pub challenge: Challenge,
    /// ECDSA P-256 with SHA-256 over [`KeyProof::signed_text`], fixed form, base64url.
    pub signature: String,
}

impl KeyProof {
    /// What is signed: context string, cluster, name, nonce, expected incarnation, digest of the claim, and under TLS the
    /// SHA-256 of the server's certificate, so that a proof for one server is none for an impostor.
    #[must_use]
    pub fn signed_text(
        challenge: &Challenge,
        claim: &RegistrationClaim,
        server_certificate: Option<&[u8; 32]>,
    ) -> Vec<u8> {
        let mut text = b"orch node registration v1\n".to_vec();
        let mut line = |bytes: &[u8]| {
            text.extend_from_slice(bytes);
            text.push(b'\n');
        };
        line(challenge.cluster.to_string().as_bytes());
        line(claim.name.as_str().as_bytes());
        line(challenge.nonce.as_bytes());
        line(challenge.incarnation.to_string().as_bytes());
        line(hex::encode(&claim.digest()).as_bytes());
        line(server_certificate.map_or_else(|| "-".to_owned(), |c| hex::encode(c)).as_bytes());
        text
    }
}

/// What a node showed to register.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct BootstrapProof {
    /// A registration or one-time token.
    pub token: Option<Secret<String>>,
    /// Possession of the node key.
    pub key: Option<KeyProof>,
    /// The verified certificate of the connection.
    pub peer: Option<PeerCertificate>,
    /// The certificate that the server showed on this connection.
    pub server_certificate: Option<[u8; 32]>,
}

/// What a proof amounts to. Whether that is enough is decided by `RegisterNode`, on the state.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// What speaks for a node that is new.
    pub attestation: Option<Attestation>,
    /// The key that was proven, and the incarnation that the proof expects.
    pub key: Option<(NodePublicKey, u64)>,
}

impl Proven {
    /// Attested, and without a key so far.
    #[must_use]
    pub const fn by(attestation: Attestation) -> Self {
        Self { attestation: Some(attestation), key: None }
    }

    /// The same, with a key that was proven for the registration after `incarnation`.
    #[must_use]
    pub fn with_key(mut self, key: NodePublicKey, incarnation: u64) -> Self {
        self.key = Some((key, incarnation));
        self
    }
}

/// Judges bootstrap proofs.
#[async_trait]
pub trait Enrollment: Send + Sync + 'static {
    /// A fresh challenge. `entropy` is used for nothing else.
    fn challenge(&self, cluster: ClusterId, incarnation: u64, now: Timestamp, entropy: [u8; 32])
    -> Challenge;
    /// What the proof amounts to for this claim.
    async fn prove(
        &self,
        cluster: ClusterId,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Proven, EnrollmentRefused>;

    /// Makes one-time tokens, where there are any. `None`: asking for one is answered with that.
    fn token_issuer(&self) -> Option<&dyn EnrollmentTokenIssuer> {
        None
    }
}

/// Why a proof is worth nothing. One shape to strangers: which of the two was wrong is in the log only.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrollmentRefused {
    /// The token is not one that admits nodes.
    #[error("the registration token is not accepted")]
    Token,
    /// The challenge is not ours, or older than 60 seconds: ask for another.
    #[error("the challenge is not or no longer good")]
    Challenge,
    /// The signature does not match key, challenge and claim.
    #[error("the node key's signature is not accepted")]
    Signature,
    /// The backend cannot tell at the moment.
    #[error("the enrolment backend is not available")]
    Unavailable,
}
