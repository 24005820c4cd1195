//! [`SiteCredentials`]: node credentials in a form of one's own, `site.<node>.<incarnation>.<generation>.<random>.<tag>`, under a
//! key that a site keeps in its own place.
//!
//! A backend decides form and proof only. Which credential is alive, its rotation, expiry and the alarm at its reuse stay orch's.

use async_trait::async_trait;
use orch_core::id::NodeId;
use orch_core::identity::{
    CredentialBinding, CredentialDigest, CredentialIssuer, CredentialValidator, IssuedCredential,
    NotRecognised, PresentedCredential, Recognised,
};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use ring::hmac;

use super::hex;

/// Issues and recognises them.
pub struct SiteCredentials {
    tags: hmac::Key,
    digests: hmac::Key,
}

impl SiteCredentials {
    /// Under two keys: one proves that a credential was issued here, the other makes what the store keeps of it.
    #[must_use]
    pub fn new(tag_key: &[u8; 32], digest_key: &[u8; 32]) -> Self {
        let key = |bytes: &[u8; 32]| hmac::Key::new(hmac::HMAC_SHA256, bytes);
        Self { tags: key(tag_key), digests: key(digest_key) }
    }

    fn digest(&self, token: &str) -> CredentialDigest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hmac::sign(&self.digests, token.as_bytes()).as_ref());
        CredentialDigest(bytes)
    }
}

impl CredentialIssuer for SiteCredentials {
    fn issue(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        generation: u64,
        entropy: [u8; 32],
    ) -> IssuedCredential {
        let body = format!("site.{node}.{}.{generation}.{}", incarnation.0, hex::encode(&entropy));
        let token = format!("{body}.{}", hex::encode(hmac::sign(&self.tags, body.as_bytes()).as_ref()));
        IssuedCredential { digest: self.digest(&token), token: Secret::new(token) }
    }
}

#[async_trait]
impl CredentialValidator for SiteCredentials {
    async fn recognise(&self, presented: &PresentedCredential) -> Result<Recognised, NotRecognised> {
        let token = presented.token.as_ref().ok_or(NotRecognised)?.expose();
        let (body, tag) = token.rsplit_once('.').ok_or(NotRecognised)?;
        let tag = hex::decode(tag).ok_or(NotRecognised)?;
        // In constant time, and before anything of it is believed.
        hmac::verify(&self.tags, body.as_bytes(), &tag).map_err(|_| NotRecognised)?;
        let parts: Vec<&str> = body.split('.').collect();
        let ["site", node, incarnation, generation, _random] = parts[..] else { return Err(NotRecognised) };
        Ok(Recognised {
            node: node.parse().map_err(|_| NotRecognised)?,
            incarnation: Incarnation(incarnation.parse().map_err(|_| NotRecognised)?),
            generation: generation.parse().map_err(|_| NotRecognised)?,
            digest: self.digest(token),
            binding: presented
                .peer
                .as_ref()
                .map_or(CredentialBinding::Token, |peer| CredentialBinding::Certificate(peer.thumbprint)),
        })
    }
}
