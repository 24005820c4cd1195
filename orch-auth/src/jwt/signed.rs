//! From a token and a key to what was signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};

/// The payload, where the signature is by this key and this algorithm. The algorithm is the key's: what the token's header
/// says was compared with it before, and is not looked at here.
pub(crate) fn payload(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Vec<u8>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (_, payload) = message.rsplit_once('.')?;
    let good = jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm);
    good.ok().filter(|good| *good)?;
    URL_SAFE_NO_PAD.decode(payload).ok()
}
