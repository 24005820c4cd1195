//! API tokens of service accounts: `orchu_` + base64url of the token's id and 256 random bits + checksum. The store holds a
//! keyed hash only.

use orch_core::id::{ApiTokenId, TypedId as _};
use orch_core::identity::{ApiTokens, CredentialDigest, IssuedApiToken, NotAnApiToken, ShownApiToken};
use orch_core::secret::Secret;
use zeroize::Zeroizing;

use crate::key::{ServerKey, Use, digest32};
use crate::sealed_text;

const PREFIX: &str = "orchu_";
const ID: usize = 16;
const LENGTH: usize = ID + 32;

/// Makes and reads API tokens under a server key.
#[derive(Clone, Debug)]
pub struct KeyedApiTokens {
    key: ServerKey,
}

impl KeyedApiTokens {
    /// Under this key.
    #[must_use]
    pub const fn new(key: ServerKey) -> Self {
        Self { key }
    }
}

impl ApiTokens for KeyedApiTokens {
    fn issue(&self, id: ApiTokenId, entropy: [u8; 32]) -> IssuedApiToken {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        bytes[..ID].copy_from_slice(id.uuid().as_bytes());
        bytes[ID..].copy_from_slice(&entropy);
        let digest = digest32(&self.key.current(Use::ApiTokenDigest), bytes.as_slice());
        IssuedApiToken {
            token: sealed_text::write(PREFIX, bytes.as_slice()),
            digest: CredentialDigest(digest),
        }
    }

    fn recognises(&self, bearer: &Secret<String>) -> bool {
        bearer.expose().starts_with(PREFIX)
    }

    fn read(&self, bearer: &Secret<String>) -> Result<ShownApiToken, NotAnApiToken> {
        let mut bytes = Zeroizing::new([0; LENGTH]);
        sealed_text::read(PREFIX, bearer.expose(), bytes.as_mut_slice()).ok_or(NotAnApiToken)?;
        let id = uuid::Uuid::from_slice(&bytes[..ID]).expect("a UUID has sixteen bytes");
        let digest = |key| CredentialDigest(digest32(&key, bytes.as_slice()));
        let digests = self.key.all(Use::ApiTokenDigest).map(digest).collect();
        Ok(ShownApiToken { id: ApiTokenId::from_uuid(id), digests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(secret: &str) -> KeyedApiTokens {
        KeyedApiTokens::new(key(secret))
    }

    fn key(secret: &str) -> ServerKey {
        ServerKey::derive(&Secret::new(secret.to_owned())).unwrap()
    }

    fn id() -> ApiTokenId {
        orch_core::id::IdStream::seeded(3).next()
    }

    #[test]
    fn what_was_issued_is_read_with_the_digest_that_was_stored_also_under_the_key_before() {
        let issued = tokens("0123456789abcdef").issue(id(), [5; 32]);
        assert!(issued.token.expose().starts_with("orchu_"));
        let shown = tokens("0123456789abcdef").read(&issued.token).unwrap();
        assert_eq!((shown.id, shown.digests), (id(), vec![issued.digest]));
        let after =
            key("fedcba9876543210").with_previous(&Secret::new("0123456789abcdef".to_owned())).unwrap();
        assert!(KeyedApiTokens::new(after).read(&issued.token).unwrap().digests.contains(&issued.digest));
        assert!(!tokens("fedcba9876543210").read(&issued.token).unwrap().digests.contains(&issued.digest));
    }

    #[test]
    fn a_node_credential_is_no_api_token() {
        let nodes = crate::token::TokenCredentials::new(key("0123456789abcdef"));
        use orch_core::identity::CredentialIssuer as _;
        let node = nodes.issue(orch_core::id::IdStream::seeded(3).next(), Default::default(), 1, [5; 32]);
        assert!(!tokens("0123456789abcdef").recognises(&node.token));
        assert!(tokens("0123456789abcdef").read(&node.token).is_err());
    }

    proptest! {
        #[test]
        fn any_change_of_any_character_makes_it_worthless(at in 0usize..100, with in "[A-Za-z0-9_-]") {
            let tokens = tokens("0123456789abcdef");
            let issued = tokens.issue(id(), [5; 32]);
            let at = at % issued.token.expose().len();
            let mut forged = issued.token.expose().clone();
            forged.replace_range(at..=at, &with);
            prop_assume!(&forged != issued.token.expose());
            prop_assert!(tokens.read(&Secret::new(forged)).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let text = Secret::new(format!("orchu_{text}"));
            prop_assert!(tokens("0123456789abcdef").read(&text).is_err());
        }
    }
}
