//! [`OneTimeTokens`]: tokens that admit so many nodes for so long. Form and proof are here; which is alive is the cluster's state.

mod format;

use async_trait::async_trait;
use orch_core::id::EnrollmentTokenId;
use orch_core::identity::{
    Attestation, BootstrapProof, CredentialDigest, EnrollmentRefused, EnrollmentTokenIssuer,
    IssuedCredential, NodeAttestor, RegistrationClaim, ServerPin, ShownToken,
};
use orch_core::secret::Secret;
use orch_core::time::Timestamp;

use crate::key::{ServerKey, Use, digest32};
use format::Parts;

pub use format::TOKEN_PREFIX;

/// Issues and recognises one-time enrolment tokens under a server key: 256 random bits with an id, the digest of what the
/// server shows, and a keyed tag, which tells without a look at the state that a token was once issued here.
#[derive(Clone, Debug)]
pub struct OneTimeTokens {
    key: ServerKey,
}

impl OneTimeTokens {
    /// Under this key.
    #[must_use]
    pub const fn new(key: ServerKey) -> Self {
        Self { key }
    }

    fn recognise(&self, token: &Secret<String>) -> Option<ShownToken> {
        let sealed = format::from_text(token)?;
        let keys = self.key.all(Use::EnrollmentTag).zip(self.key.all(Use::EnrollmentDigest));
        keys.into_iter().find_map(|(tag, digest)| {
            let parts = Parts::open(&sealed, &tag)?;
            let digest = CredentialDigest(digest32(&digest, sealed.as_slice()));
            Some(ShownToken { id: parts.id, digest })
        })
    }
}

impl EnrollmentTokenIssuer for OneTimeTokens {
    fn issue_token(
        &self,
        id: EnrollmentTokenId,
        server: Option<&ServerPin>,
        entropy: [u8; 32],
    ) -> IssuedCredential {
        let parts = Parts { id, server: server.copied(), random: entropy };
        let sealed = parts.seal(&self.key.current(Use::EnrollmentTag));
        let digest = CredentialDigest(digest32(&self.key.current(Use::EnrollmentDigest), sealed.as_slice()));
        IssuedCredential { token: format::to_text(&sealed), digest }
    }
}

#[async_trait]
impl NodeAttestor for OneTimeTokens {
    async fn attest(
        &self,
        _: &RegistrationClaim,
        proof: &BootstrapProof,
        _: Timestamp,
    ) -> Result<Option<Attestation>, EnrollmentRefused> {
        let shown = proof.token.as_ref().and_then(|token| self.recognise(token));
        Ok(shown.map(Attestation::OneTimeToken))
    }

    fn token_issuer(&self) -> Option<&dyn EnrollmentTokenIssuer> {
        Some(self)
    }
}

/// A text that begins like an enrolment token and is none: a part is missing, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this begins like an enrolment token ({TOKEN_PREFIX}…) and is none: copy it whole")]
pub struct UnreadableToken;

/// What an agent is to know its server by, as its token says: `None` where it says nothing, or is another kind of token.
///
/// Needs no key: whoever gave the agent its token is whom it believes.
///
/// # Errors
/// The text begins like an enrolment token, and its checksum is not right.
pub fn server_pin(token: &Secret<String>) -> Result<Option<ServerPin>, UnreadableToken> {
    if !token.expose().trim().starts_with(TOKEN_PREFIX) {
        return Ok(None);
    }
    format::from_text(token).map(|sealed| Parts::read(&sealed).server).ok_or(UnreadableToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::id::IdStream;
    use proptest::prelude::*;

    fn tokens(secret: &str) -> OneTimeTokens {
        OneTimeTokens::new(ServerKey::derive(&Secret::new(secret.to_owned())).unwrap())
    }

    fn id() -> EnrollmentTokenId {
        IdStream::seeded(3).next()
    }

    fn recognise(by: &OneTimeTokens, token: &str) -> Option<ShownToken> {
        by.recognise(&Secret::new(token.to_owned()))
    }

    #[test]
    fn what_was_issued_is_recognised_with_the_digest_that_is_kept() {
        let tokens = tokens("0123456789abcdef");
        let issued = tokens.issue_token(id(), None, [5; 32]);
        let shown = recognise(&tokens, issued.token.expose()).unwrap();
        assert_eq!((shown.id, shown.digest), (id(), issued.digest));
        let spaced = format!(" {}\n", issued.token.expose());
        assert!(recognise(&tokens, &spaced).is_some(), "files end with a line end");
    }

    #[test]
    fn another_clusters_token_is_none_of_ours_and_after_a_change_of_key_the_old_ones_still_are() {
        let issued = tokens("0123456789abcdef").issue_token(id(), None, [5; 32]);
        assert!(recognise(&tokens("fedcba9876543210"), issued.token.expose()).is_none());
        let both = ServerKey::derive(&Secret::new("fedcba9876543210".to_owned())).unwrap();
        let both = both.with_previous(&Secret::new("0123456789abcdef".to_owned())).unwrap();
        let shown = recognise(&OneTimeTokens::new(both), issued.token.expose()).unwrap();
        assert_eq!(shown.digest, issued.digest);
    }

    #[test]
    fn an_agent_reads_its_servers_digest_without_a_key() {
        let (tokens, pin) = (tokens("0123456789abcdef"), ServerPin([9; 32]));
        for server in [None, Some(pin)] {
            let issued = tokens.issue_token(id(), server.as_ref(), [5; 32]);
            assert_eq!(server_pin(&issued.token), Ok(server));
            assert!(recognise(&tokens, issued.token.expose()).is_some());
            let cut = &issued.token.expose()[..issued.token.expose().len() - 1];
            assert_eq!(server_pin(&Secret::new(cut.to_owned())), Err(UnreadableToken));
        }
        assert_eq!(server_pin(&Secret::new("a static token".to_owned())), Ok(None));
    }

    proptest! {
        #[test]
        fn any_change_of_any_character_makes_it_worthless(at in 0usize..300, with in "[A-Za-z0-9_-]") {
            let tokens = tokens("0123456789abcdef");
            let issued = tokens.issue_token(id(), Some(&ServerPin([9; 32])), [5; 32]);
            let token = issued.token.expose();
            let at = at % token.len();
            let mut forged = token.clone();
            forged.replace_range(at..=at, &with);
            prop_assume!(&forged != token);
            prop_assert!(recognise(&tokens, &forged).is_none());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}") {
            let tokens = tokens("0123456789abcdef");
            for text in [text.clone(), format!("{TOKEN_PREFIX}{text}")] {
                prop_assert!(recognise(&tokens, &text).is_none());
                let _ = server_pin(&Secret::new(text));
            }
        }
    }
}
