//! [`ApiTokens`]: making API tokens of service accounts, and reading what is shown. Which of them is good is state.

use super::CredentialDigest;
use crate::id::ApiTokenId;
use crate::secret::Secret;

/// A fresh API token: the text goes to whoever asked for it and nowhere else, the digest into the store.
#[derive(Debug)]
pub struct IssuedApiToken {
    /// What will be shown.
    pub token: Secret<String>,
    /// What the store keeps.
    pub digest: CredentialDigest,
}

/// What a caller showed, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownApiToken {
    /// Which token it says it is.
    pub id: ApiTokenId,
    /// What the store may hold of it: under each key that tokens are still good under.
    pub digests: Vec<CredentialDigest>,
}

/// A text has not the form that it begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API token of this cluster")]
pub struct NotAnApiToken;

/// Makes and reads API tokens. Must not block.
pub trait ApiTokens: Send + Sync + 'static {
    /// A new token. `entropy` is fresh and used for nothing else.
    fn issue(&self, id: ApiTokenId, entropy: [u8; 32]) -> IssuedApiToken;

    /// Whether a bearer token is to be read as one of these, by its form alone.
    fn recognises(&self, bearer: &Secret<String>) -> bool;

    /// What a bearer token says.
    ///
    /// # Errors
    /// It is none.
    fn read(&self, bearer: &Secret<String>) -> Result<ShownApiToken, NotAnApiToken>;
}
