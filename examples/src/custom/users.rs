//! [`ApiKeys`]: users by API keys that a site hands out itself, instead of JWTs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use orch_core::identity::{AuthError, Grants, Role, UserAuthenticator, UserIdentity, UserProof};
use ring::digest::{SHA256, digest};

use super::hex;

/// Who has which key. Only digests of keys are kept.
#[derive(Debug, Default)]
pub struct ApiKeys {
    users: BTreeMap<Vec<u8>, UserIdentity>,
}

/// A line that is none of `<SHA-256 of the key in hex> <subject> <role> [<namespace>]`.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: expected <SHA-256 in hex> <subject> <role> [<namespace>]")]
pub struct BadLine {
    line: usize,
}

impl ApiKeys {
    /// Reads a file's text: a user a line. With a namespace the role holds there and nowhere else.
    ///
    /// # Errors
    /// The first line that is not understood. What it says is not repeated: it may be a key.
    pub fn parse(text: &str) -> Result<Self, BadLine> {
        let mut users = BTreeMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let (key, user) = user(line).ok_or(BadLine { line: index + 1 })?;
            users.insert(key, user);
        }
        Ok(Self { users })
    }
}

fn user(line: &str) -> Option<(Vec<u8>, UserIdentity)> {
    let mut words = line.split_whitespace();
    let key = hex::decode(words.next()?).filter(|key| key.len() == 32)?;
    let subject = words.next()?.parse().ok()?;
    let role: Role = words.next()?.parse().ok()?;
    let grants = match words.next() {
        None => Grants::cluster(role),
        Some(namespace) => Grants { cluster: None, namespaces: [(namespace.parse().ok()?, role)].into() },
    };
    words.next().is_none().then_some((key, UserIdentity::new(subject, grants)))
}

#[async_trait]
impl UserAuthenticator for ApiKeys {
    /// Looked up by digest: how long that takes says nothing about a key.
    async fn authenticate(&self, proof: &UserProof) -> Result<UserIdentity, AuthError> {
        let key = proof.bearer.as_ref().ok_or(AuthError::Missing)?;
        let user = self.users.get(digest(&SHA256, key.expose().as_bytes()).as_ref());
        user.cloned().ok_or_else(|| AuthError::Refused("the API key is not known".to_owned()))
    }
}
