//! [`KeyFingerprint`]: a node key, short enough to be read out.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::NodePublicKey;
use crate::hex;

/// What stands before an uncompressed P-256 point in the DER form of a public key (RFC 5480).
const P256_SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// SHA-256 of a public key in DER, as `openssl pkey -pubout -outform DER | sha256sum` has it. In text `sha256:` and 64 hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyFingerprint(#[serde(with = "crate::hex::array")] pub [u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key's fingerprint: expected sha256: and 64 hexadecimal digits")]
pub struct InvalidFingerprint;

impl KeyFingerprint {
    /// Of a key. One that is no P-256 point is taken by its text.
    #[must_use]
    pub fn of(key: &NodePublicKey) -> Self {
        let der = match URL_SAFE_NO_PAD.decode(&key.0) {
            Ok(point) if point.len() == 65 => [&P256_SPKI_HEAD[..], &point].concat(),
            _ => key.0.clone().into_bytes(),
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &der).as_ref());
        Self(digest)
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(&self.0))
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyFingerprint {
    type Err = InvalidFingerprint;

    /// The prefix may be left out, and is read in any case.
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let text = text.trim().to_ascii_lowercase();
        let digits = text.strip_prefix("sha256:").unwrap_or(&text);
        hex::decode(digits).map(Self).ok_or(InvalidFingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_what_openssl_says_of_the_same_key() {
        // `openssl ecparam -name prime256v1 -genkey`, its point in base64url, and the SHA-256 of its public half in DER.
        let key = NodePublicKey(POINT.to_owned());
        assert_eq!(KeyFingerprint::of(&key).to_string(), FINGERPRINT);
    }

    #[test]
    fn it_is_read_as_it_is_written_and_nothing_else_is() {
        let shown = KeyFingerprint::of(&NodePublicKey("k".to_owned()));
        let text = shown.to_string();
        for form in [text.clone(), text.to_uppercase(), text.trim_start_matches("sha256:").to_owned()] {
            assert_eq!(form.parse(), Ok(shown));
        }
        for bad in
            ["", "sha256:", "md5:00", &text[..70], &format!("{text}0"), &text.replace(':', " "), "\u{e9}"]
        {
            assert_eq!(bad.parse::<KeyFingerprint>(), Err(InvalidFingerprint), "{bad}");
        }
    }

    const POINT: &str =
        "BBoHkdEofw1Funs09wuccEQkQH4SVJ_Z-xXvjtOKF9LofkHW9WYHp-PH1kkO5zIpvhe8_qMFURWndnk0rfaUNm4";
    const FINGERPRINT: &str = "sha256:8cf604601079512c50dfcb4dcf13799f08143248fd87d6936f768df1c907bf11";
}
