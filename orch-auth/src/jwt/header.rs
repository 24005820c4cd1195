//! What a token's header may hold, and what is read from a token before anything is proven.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest token that is looked at: 8 KiB.
pub(crate) const LONGEST_TOKEN: usize = 8 * 1024;

/// What a header says of itself: enough to look a key up, and nothing to be believed.
#[derive(Deserialize)]
pub(crate) struct Header {
    /// To be compared with the algorithm of the key.
    pub(crate) alg: String,
    /// Which key, by name.
    pub(crate) kid: Option<String>,
    /// What kind of token.
    pub(crate) typ: Option<String>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    jwk: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
}

/// Refuses a token before its signature is looked at. Nothing of the token is quoted.
pub(crate) fn check(token: &str) -> Result<Header, &'static str> {
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
    if [&header.jku, &header.x5u, &header.jwk, &header.x5c].into_iter().any(Option::is_some) {
        return Err("the token's header names a key of its own");
    }
    if header.crit.is_some() {
        return Err("the token's header demands an extension");
    }
    Ok(header)
}

/// Whether a text has the form of a token: three parts.
pub(crate) fn has_form(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && token.split('.').count() == 3
}

/// The issuer that a token names, unproven: good for choosing who judges it, and for nothing else.
pub(crate) fn stated_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Stated {
        iss: Option<String>,
    }
    if !has_form(token) {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Stated>(&payload).ok()?.iss
}
