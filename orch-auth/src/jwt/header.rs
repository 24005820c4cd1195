//! What a token's header may hold.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest token that is looked at: 8 KiB.
pub(super) const LONGEST_TOKEN: usize = 8 * 1024;

#[derive(Deserialize)]
struct Header {
    alg: String,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

/// Refuses a token before its signature is looked at. Nothing of the token is quoted.
pub(super) fn check(token: &str) -> Result<(), &'static str> {
    if token.len() > LONGEST_TOKEN {
        return Err("the token is longer than 8 KiB");
    }
    if token.split('.').count() != 3 {
        return Err("the token is not of the form header.payload.signature");
    }
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| "the token's header is not base64url")?;
    let header: Header =
        serde_json::from_slice(&header).map_err(|_| "the token's header is not understood")?;
    if header.alg != "HS256" {
        return Err("the token's algorithm is not HS256");
    }
    if [&header.jku, &header.x5u, &header.jwk, &header.x5c].into_iter().any(Option::is_some) {
        return Err("the token's header names a key of its own");
    }
    if header.crit.is_some() {
        return Err("the token's header demands an extension");
    }
    Ok(())
}
