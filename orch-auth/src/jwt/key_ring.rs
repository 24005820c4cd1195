//! [`KeyRing`]: the HS256 secrets that tokens are checked with, and the one that new ones are signed with.

use std::collections::BTreeSet;

use jsonwebtoken::DecodingKey;
use orch_core::secret::Secret;
use orch_core::time::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::authenticator::{WeakKey, check_length};

/// The most keys that a ring holds. A token without a `kid` may have to be tried with each.
pub const MOST_KEYS: usize = 16;

/// Secrets by name. The first signs; the others verify until their time is over.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<RingKey>,
}

#[derive(Clone)]
struct RingKey {
    /// `None`: the one key of a ring of one, which is good for tokens of any name.
    kid: Option<String>,
    secret: Secret<String>,
    verifying: DecodingKey,
    verify_until: Option<Timestamp>,
}

/// What is wrong with a ring. Nothing of a secret is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeyRing(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    keys: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    kid: String,
    secret: Zeroizing<String>,
    verify_until: Option<String>,
}

impl KeyRing {
    /// A ring of one, without a name: tokens are checked with it whatever `kid` they bear.
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_KEY`](super::SHORTEST_KEY).
    pub fn single(secret: &Secret<String>) -> Result<Self, WeakKey> {
        check_length(secret)?;
        Ok(Self { keys: vec![RingKey::new(None, secret.clone(), None)] })
    }

    /// Reads a ring from YAML or JSON:
    ///
    /// ```yaml
    /// keys:
    ///   - kid: "2026-11"
    ///     secret: at least 32 bytes of your own
    ///   - kid: "2026-05"
    ///     secret: the one before, 32 bytes as well
    ///     verify_until: 2026-12-01T00:00:00Z
    /// ```
    ///
    /// # Errors
    /// What is wrong, and with which key.
    pub fn parse(text: &str) -> Result<Self, InvalidKeyRing> {
        // The parser's message could quote a secret, so only the place is passed on.
        let file: RingFile = serde_saphyr::from_str(text).map_err(|error| {
            let place = error.location().map(|at| format!("line {}: ", at.line())).unwrap_or_default();
            let form =
                "expected `keys:`, a list of `kid`, `secret` and, except for the first, `verify_until`";
            InvalidKeyRing(format!("{place}not a key ring; {form}"))
        })?;
        let mut names = BTreeSet::new();
        let mut keys = Vec::new();
        for (at, entry) in file.keys.into_iter().enumerate() {
            let wrong = |problem: String| InvalidKeyRing(format!("key {}: {problem}", at + 1));
            if !is_key_id(&entry.kid) {
                return Err(wrong("`kid` is not 1 to 64 of letters, digits, `-`, `_` and `.`".to_owned()));
            }
            if !names.insert(entry.kid.clone()) {
                return Err(wrong(format!("the `kid` {} is there twice", entry.kid)));
            }
            let secret = Secret::new(entry.secret.as_str().to_owned());
            check_length(&secret).map_err(|weak| wrong(weak.to_string()))?;
            let verify_until = entry.verify_until.map(|text| {
                Timestamp::parse_rfc3339(&text)
                    .map_err(|_| wrong("`verify_until` is no time like 2026-12-01T00:00:00Z".to_owned()))
            });
            keys.push(RingKey::new(Some(entry.kid), secret, verify_until.transpose()?));
        }
        match keys.first() {
            None => Err(InvalidKeyRing("there is no key in it".to_owned())),
            Some(first) if first.verify_until.is_some() => Err(InvalidKeyRing(
                "key 1: it has a `verify_until`, but the first key is the one that signs".to_owned(),
            )),
            Some(_) if keys.len() > MOST_KEYS => {
                Err(InvalidKeyRing(format!("there are {} keys; at most {MOST_KEYS} are taken", keys.len())))
            }
            Some(_) => Ok(Self { keys }),
        }
    }

    /// The key that new tokens are signed with: its name, if it has one, and the secret.
    #[must_use]
    pub fn signing(&self) -> (Option<&str>, &Secret<String>) {
        let first = self.keys.first().expect("a ring has a key");
        (first.kid.as_deref(), &first.secret)
    }

    /// The keys that a token may have been signed with. A `kid` is a name to look up and nothing else.
    pub(super) fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        self.keys
            .iter()
            .filter(move |key| key.verify_until.is_none_or(|until| now < until))
            .filter(move |key| match (&key.kid, kid) {
                (Some(name), Some(kid)) => name == kid,
                (None, _) | (_, None) => true,
            })
            .map(|key| &key.verifying)
    }
}

impl RingKey {
    fn new(kid: Option<String>, secret: Secret<String>, verify_until: Option<Timestamp>) -> Self {
        let verifying = DecodingKey::from_secret(secret.expose().as_bytes());
        Self { kid, secret, verifying, verify_until }
    }
}

fn is_key_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.keys.iter().map(|key| key.kid.as_deref().unwrap_or("-"));
        f.write_str("KeyRing")?;
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "the first secret of this ring, 32+";
    const B: &str = "the second secret of this ring, 32+";

    fn ring(first: &str, second: &str) -> Result<KeyRing, InvalidKeyRing> {
        KeyRing::parse(&format!("keys:\n  - {{{first}}}\n  - {{{second}}}\n"))
    }

    #[test]
    fn the_first_key_signs_and_the_others_verify_until_their_time_is_over() {
        let until = "verify_until: 2026-01-01T00:00:10Z";
        let ring =
            ring(&format!("kid: new, secret: '{A}'"), &format!("kid: old, secret: '{B}', {until}")).unwrap();
        assert_eq!(ring.signing().0, Some("new"));
        assert_eq!(ring.signing().1.expose(), A);
        let end = Timestamp::parse_rfc3339("2026-01-01T00:00:10Z").unwrap();
        let before = Timestamp::from_micros(end.as_micros() - 1);
        let count = |kid, now| ring.candidates(kid, now).count();
        assert_eq!((count(Some("old"), before), count(Some("old"), end)), (1, 0));
        assert_eq!((count(None, before), count(None, end)), (2, 1));
        assert_eq!(count(Some("../../etc/passwd"), before), 0);
    }

    #[test]
    fn what_is_wrong_is_told_by_key_and_without_a_secret() {
        let good = format!("kid: a, secret: '{A}'");
        for (second, expected) in [
            (format!("kid: a, secret: '{B}'"), "key 2: the `kid` a is there twice"),
            ("kid: b, secret: 'too short'".to_owned(), "key 2: the JWT secret has 9 bytes"),
            (format!("kid: 'b c', secret: '{B}'"), "key 2: `kid` is not"),
            (format!("kid: b, secret: '{B}', verify_until: soon"), "key 2: `verify_until` is no time"),
            (format!("kid: b, secret: '{B}', alg: none"), "not a key ring"),
            (format!("secret: '{B}'"), "not a key ring"),
        ] {
            let error = ring(&good, &second).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret of this ring") && !error.contains("too short"), "{error}");
        }
        let first =
            ring(&format!("{good}, verify_until: 2026-01-01T00:00:00Z"), &format!("kid: b, secret: '{B}'"));
        assert!(first.unwrap_err().to_string().contains("the one that signs"));
        assert!(KeyRing::parse("keys: []").unwrap_err().to_string().contains("no key"));
        for garbage in ["", "keys", "[", "\u{0}", A] {
            let error = KeyRing::parse(garbage).unwrap_err().to_string();
            assert!(!error.contains("secret of this ring"), "{error}");
        }
        assert_eq!(
            format!("{:?}", ring(&good, &format!("kid: b, secret: '{B}'")).unwrap()),
            r#"KeyRing["a", "b"]"#
        );
    }
}
