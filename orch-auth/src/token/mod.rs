//! Node credentials as bearer tokens: 256 random bits with node, incarnation, generation and a keyed tag.

mod format;

use async_trait::async_trait;
use orch_core::id::NodeId;
use orch_core::identity::{
    CredentialBinding, CredentialDigest, CredentialIssuer, CredentialValidator, IssuedCredential,
    NotRecognised, PresentedCredential, Recognised,
};
use orch_core::node::Incarnation;

use crate::key::{ServerKey, Use, digest32};
use format::Parts;

/// Issues and recognises node credentials under a server key. The tag tells that a token was once issued, so that dead
/// ones are recognised without keeping their hashes.
#[derive(Clone, Debug)]
pub struct TokenCredentials {
    key: ServerKey,
}

impl TokenCredentials {
    /// Under this key.
    #[must_use]
    pub const fn new(key: ServerKey) -> Self {
        Self { key }
    }
}

impl CredentialIssuer for TokenCredentials {
    fn issue(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        generation: u64,
        entropy: [u8; 32],
    ) -> IssuedCredential {
        let parts = Parts { node, incarnation, generation, random: entropy };
        let sealed = parts.seal(&self.key.current(Use::CredentialTag));
        let digest = CredentialDigest(digest32(&self.key.current(Use::CredentialDigest), sealed.as_slice()));
        IssuedCredential { token: format::to_text(&sealed), digest }
    }
}

#[async_trait]
impl CredentialValidator for TokenCredentials {
    async fn recognise(&self, presented: &PresentedCredential) -> Result<Recognised, NotRecognised> {
        let token = presented.token.as_ref().ok_or(NotRecognised)?;
        let sealed = format::from_text(token).ok_or(NotRecognised)?;
        let keys = self.key.all(Use::CredentialTag).zip(self.key.all(Use::CredentialDigest));
        for (tag_key, digest_key) in keys {
            if let Some(parts) = Parts::open(&sealed, &tag_key) {
                return Ok(Recognised {
                    node: parts.node,
                    incarnation: parts.incarnation,
                    generation: parts.generation,
                    digest: CredentialDigest(digest32(&digest_key, sealed.as_slice())),
                    binding: match &presented.peer {
                        Some(peer) => CredentialBinding::Certificate(peer.thumbprint),
                        None => CredentialBinding::Token,
                    },
                });
            }
        }
        Err(NotRecognised)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::secret::Secret;
    use proptest::prelude::*;

    fn credentials(secret: &str) -> TokenCredentials {
        TokenCredentials::new(ServerKey::derive(&Secret::new(secret.to_owned())).unwrap())
    }

    fn node() -> NodeId {
        orch_core::id::IdStream::seeded(3).next()
    }

    async fn recognise(by: &TokenCredentials, token: &str) -> Result<Recognised, NotRecognised> {
        by.recognise(&PresentedCredential::bearer(Secret::new(token.to_owned()))).await
    }

    #[tokio::test]
    async fn what_was_issued_is_recognised_with_the_digest_that_was_stored() {
        let credentials = credentials("0123456789abcdef");
        let issued = credentials.issue(node(), Incarnation(2), 9, [5; 32]);
        let shown = recognise(&credentials, issued.token.expose()).await.unwrap();
        assert_eq!((shown.node, shown.incarnation, shown.generation), (node(), Incarnation(2), 9));
        assert_eq!(shown.digest, issued.digest);
    }

    #[tokio::test]
    async fn another_servers_credential_is_not_recognised() {
        let issued = credentials("0123456789abcdef").issue(node(), Incarnation(1), 1, [5; 32]);
        assert!(recognise(&credentials("fedcba9876543210"), issued.token.expose()).await.is_err());
    }

    #[tokio::test]
    async fn after_a_change_of_key_what_the_old_one_made_is_still_recognised() {
        let issued = credentials("0123456789abcdef").issue(node(), Incarnation(1), 1, [5; 32]);
        let both = ServerKey::derive(&Secret::new("fedcba9876543210".to_owned()))
            .unwrap()
            .with_previous(&Secret::new("0123456789abcdef".to_owned()))
            .unwrap();
        let shown = recognise(&TokenCredentials::new(both), issued.token.expose()).await.unwrap();
        assert_eq!(shown.digest, issued.digest);
    }

    proptest! {
        #[test]
        fn any_change_of_any_character_makes_it_worthless(at in 0usize..200, with in "[A-Za-z0-9_-]") {
            let credentials = credentials("0123456789abcdef");
            let issued = credentials.issue(node(), Incarnation(1), 1, [5; 32]);
            let token = issued.token.expose();
            let at = at % token.len();
            let mut forged = token.clone();
            forged.replace_range(at..=at, &with);
            prop_assume!(&forged != token);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert!(runtime.block_on(recognise(&credentials, &forged)).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            prop_assert!(runtime.block_on(recognise(&credentials("0123456789abcdef"), &text)).is_err());
            let prefixed = format!("orchn_{text}");
            prop_assert!(runtime.block_on(recognise(&credentials("0123456789abcdef"), &prefixed)).is_err());
        }
    }
}
