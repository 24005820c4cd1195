//! The keyed tag at the end of a token's parts: HMAC-SHA-256, cut to 128 bits. It tells without a look at the state that a token
//! was once issued here.

use ring::hmac;
use subtle::ConstantTimeEq as _;

/// How many bytes it takes.
pub(crate) const TAG: usize = 16;

/// Writes the tag of all that stands before it.
pub(crate) fn write(key: &hmac::Key, sealed: &mut [u8]) {
    let (body, tag) = sealed.split_at_mut(sealed.len() - TAG);
    tag.copy_from_slice(&hmac::sign(key, body).as_ref()[..TAG]);
}

/// Whether the tag is of this key, in constant time.
pub(crate) fn is_right(key: &hmac::Key, sealed: &[u8]) -> bool {
    let (body, tag) = sealed.split_at(sealed.len() - TAG);
    hmac::sign(key, body).as_ref()[..TAG].ct_eq(tag).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where two changes are the same: compared byte by byte, they must not cancel each other.
    #[test]
    fn a_tag_that_differs_anywhere_is_refused() {
        let key = |text: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, text);
        let mut sealed = *b"what stands before the tag, and the tag itself: 0123456789abcdef";
        write(&key(b"a key"), &mut sealed);
        assert!(is_right(&key(b"a key"), &sealed));
        assert!(!is_right(&key(b"another"), &sealed));
        for first in 0..sealed.len() {
            for second in first..sealed.len() {
                let mut forged = sealed;
                forged[first] ^= 0x55;
                if second != first {
                    forged[second] ^= 0x55;
                }
                assert!(!is_right(&key(b"a key"), &forged), "{first}, {second}");
            }
        }
    }
}
