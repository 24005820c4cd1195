//! Tokens as text: a prefix that names the kind, base64url of the bytes, and 8 hexadecimal digits of checksum.
//!
//! The prefix and the checksum (first four bytes of the SHA-256 of all before it) let scanners find leaked tokens without
//! knowing a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::secret::Secret;
use ring::digest;

const CHECKSUM: usize = 8;

pub(crate) fn write(prefix: &str, bytes: &[u8]) -> Secret<String> {
    let mut text = String::with_capacity(prefix.len() + bytes.len().div_ceil(3) * 4 + CHECKSUM);
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
    let checksum = checksum(&text);
    text.push_str(&checksum);
    Secret::new(text)
}

/// Fills `bytes`; `None` where the text is not of this form, kind and length.
pub(crate) fn read(prefix: &str, text: &str, bytes: &mut [u8]) -> Option<()> {
    let at = text.len().checked_sub(CHECKSUM).filter(|at| text.is_char_boundary(*at))?;
    let (front, found) = text.split_at(at);
    if checksum(front) != found {
        return None;
    }
    let length = URL_SAFE_NO_PAD.decode_slice(front.strip_prefix(prefix)?, bytes).ok()?;
    (length == bytes.len()).then_some(())
}

fn checksum(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref()[..CHECKSUM / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}
