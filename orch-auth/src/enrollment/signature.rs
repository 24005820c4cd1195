//! Possession of the node key: ECDSA on P-256 with SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::identity::{KeyProof, RegistrationClaim};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

pub(super) fn is_right(
    proof: &KeyProof,
    claim: &RegistrationClaim,
    server_certificate: Option<&[u8; 32]>,
) -> bool {
    let decode = |text: &str| (text.len() <= 128).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten();
    let (Some(key), Some(signature)) = (decode(&proof.key.0), decode(&proof.signature)) else { return false };
    let text = KeyProof::signed_text(&proof.challenge, claim, server_certificate);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(&text, &signature).is_ok()
}
