//! [`KeySet`]: the public keys of an issuer, from a JSON Web Key Set (RFC 7517), each pinned to one algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that are taken from a set.
const MOST_KEYS: usize = 64;
/// The shortest RSA modulus that is taken: 2048 bits.
const SHORTEST_MODULUS: usize = 256;

/// Public keys that tokens are checked with.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// A key, and the one algorithm that it is good for.
#[derive(Clone)]
pub(super) struct PublicKey {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// What was answered is no usable key set. Nothing of it is quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidKeySet(String);

/// One entry of a set, as far as it matters. What else stands there is nothing to us: certificates and their URLs least of all.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. Keys that are not for verifying signatures, or of a kind that is not known here, are left out; symmetric
    /// keys are always: a secret that an issuer publishes is none.
    ///
    /// # Errors
    /// It is no key set, or holds no key that is of use.
    pub fn parse(text: &str) -> Result<Self, InvalidKeySet> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_str(text)
            .map_err(|_| InvalidKeySet("not a JSON Web Key Set: expected {\"keys\": […]}".to_owned()))?;
        if set.keys.len() > MOST_KEYS {
            let count = set.keys.len();
            return Err(InvalidKeySet(format!(
                "there are {count} keys in the set; at most {MOST_KEYS} are taken"
            )));
        }
        let known = |entry| PublicKey::read(serde_json::from_value(entry).ok()?);
        let keys: Vec<_> = set.keys.into_iter().filter_map(known).collect();
        if keys.is_empty() {
            let expected = "expected RSA of 2048 bits or more, EC P-256, or Ed25519, for signatures";
            return Err(InvalidKeySet(format!("no key of the set is of use; {expected}")));
        }
        Ok(Self { keys })
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none, which [`KeySet::parse`] never answers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys of that name; without a name, the only key there is.
    pub(super) fn find(&self, kid: Option<&str>) -> Vec<PublicKey> {
        match kid {
            Some(kid) => self.keys.iter().filter(|key| key.kid.as_deref() == Some(kid)).cloned().collect(),
            None if self.keys.len() == 1 => self.keys.clone(),
            None => Vec::new(),
        }
    }
}

impl PublicKey {
    fn read(jwk: Jwk) -> Option<Self> {
        let for_signatures = jwk.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return None;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let (n, e) = (bytes(&jwk.n)?, bytes(&jwk.e)?);
                let n = n.iter().position(|byte| *byte != 0).map(|at| n[at..].to_vec())?;
                if n.len() < SHORTEST_MODULUS {
                    return None;
                }
                (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&n, &e))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                if (x.len(), y.len()) != (32, 32) {
                    return None;
                }
                (Algorithm::ES256, DecodingKey::from_ec_der(&[&[4], x.as_slice(), &y].concat()))
            }
            ("OKP", Some("Ed25519")) => {
                let x = bytes(&jwk.x).filter(|x| x.len() == 32)?;
                (Algorithm::EdDSA, DecodingKey::from_ed_der(&x))
            }
            _ => return None,
        };
        let pinned = name_of(algorithm);
        if jwk.alg.as_deref().is_some_and(|alg| alg != pinned) {
            return None; // another padding or hash than we know
        }
        Some(Self { kid: jwk.kid, algorithm, key })
    }
}

/// An algorithm as headers name it.
pub(super) const fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeySet")?;
        f.debug_list().entries(self.keys.iter().map(|key| (&key.kid, key.algorithm))).finish()
    }
}
