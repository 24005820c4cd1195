//! Challenges: a nonce sealed with time and cluster id, so that any server can tell its own without keeping it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::id::{ClusterId, TypedId as _};
use orch_core::identity::enrollment::CHALLENGE_LIFE;
use orch_core::time::Timestamp;
use ring::hmac;

const RANDOM: usize = 16;
const BODY: usize = RANDOM + 8;
/// Another server's clock may be ahead by this much.
const SKEW: Duration = Duration::from_secs(5);

pub(super) fn seal(key: &hmac::Key, cluster: ClusterId, now: Timestamp, entropy: &[u8; 32]) -> String {
    let mut sealed = Vec::with_capacity(BODY + 32);
    sealed.extend_from_slice(&entropy[..RANDOM]);
    sealed.extend_from_slice(&now.as_micros().to_be_bytes());
    let tag = hmac::sign(key, &message(&sealed, cluster));
    sealed.extend_from_slice(tag.as_ref());
    URL_SAFE_NO_PAD.encode(sealed)
}

pub(super) fn is_fresh(key: &hmac::Key, cluster: ClusterId, nonce: &str, now: Timestamp) -> bool {
    if nonce.len() > 128 {
        return false;
    }
    let Ok(sealed) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
    let Some((body, tag)) = sealed.split_at_checked(BODY) else { return false };
    if hmac::verify(key, &message(body, cluster), tag).is_err() {
        return false;
    }
    let made = i64::from_be_bytes(body[RANDOM..].try_into().expect("the body ends with eight bytes of time"));
    let made = Timestamp::from_micros(made);
    made <= now + SKEW && now.since(made) <= CHALLENGE_LIFE
}

fn message(body: &[u8], cluster: ClusterId) -> Vec<u8> {
    [body, cluster.uuid().as_bytes()].concat()
}
