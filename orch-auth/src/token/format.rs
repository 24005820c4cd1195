//! The form of a node credential: `orchn_` + base64url of the sealed parts + 8 hexadecimal digits of checksum.

use orch_core::id::{NodeId, TypedId as _};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use ring::hmac;
use zeroize::Zeroizing;

use crate::sealed_text;

const PREFIX: &str = "orchn_";
const BODY: usize = 16 + 8 + 8 + 32;
const TAG: usize = 16;

/// The body of a credential followed by its tag.
pub(super) type Sealed = Zeroizing<[u8; BODY + TAG]>;

/// What a credential says.
pub(super) struct Parts {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) generation: u64,
    pub(super) random: [u8; 32],
}

impl Parts {
    pub(super) fn seal(&self, key: &hmac::Key) -> Sealed {
        let mut sealed = Zeroizing::new([0; BODY + TAG]);
        sealed[..16].copy_from_slice(self.node.uuid().as_bytes());
        sealed[16..24].copy_from_slice(&self.incarnation.0.to_be_bytes());
        sealed[24..32].copy_from_slice(&self.generation.to_be_bytes());
        sealed[32..BODY].copy_from_slice(&self.random);
        let tag = hmac::sign(key, &sealed[..BODY]);
        sealed[BODY..].copy_from_slice(&tag.as_ref()[..TAG]);
        sealed
    }

    /// `None` where the tag is not of this key.
    pub(super) fn open(sealed: &Sealed, key: &hmac::Key) -> Option<Self> {
        let expected = hmac::sign(key, &sealed[..BODY]);
        let differ = expected.as_ref()[..TAG].iter().zip(&sealed[BODY..]).fold(0, |d, (a, b)| d | (a ^ b));
        if differ != 0 {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            u64::from_be_bytes(sealed[range].try_into().expect("the range has eight bytes"))
        };
        let mut random = [0; 32];
        random.copy_from_slice(&sealed[32..BODY]);
        Some(Self {
            node: NodeId::from_uuid(uuid::Uuid::from_slice(&sealed[..16]).expect("a UUID has sixteen bytes")),
            incarnation: Incarnation(number(16..24)),
            generation: number(24..32),
            random,
        })
    }
}

pub(super) fn to_text(sealed: &Sealed) -> Secret<String> {
    sealed_text::write(PREFIX, sealed.as_slice())
}

/// `None` where the text has not the form of a credential.
pub(super) fn from_text(text: &Secret<String>) -> Option<Sealed> {
    let mut sealed = Zeroizing::new([0; BODY + TAG]);
    sealed_text::read(PREFIX, text.expose(), sealed.as_mut_slice())?;
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also where two changes are the same: compared byte by byte, they must not cancel each other.
    #[test]
    fn a_tag_that_differs_anywhere_is_refused() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of this test");
        let node = NodeId::from_uuid(uuid::Uuid::from_u128(7));
        let sealed = Parts { node, incarnation: Incarnation(1), generation: 2, random: [3; 32] }.seal(&key);
        assert!(Parts::open(&sealed, &key).is_some_and(|parts| parts.node == node && parts.generation == 2));
        for first in BODY..BODY + TAG {
            for second in first..BODY + TAG {
                let mut forged = sealed.clone();
                forged[first] ^= 0x55;
                if second != first {
                    forged[second] ^= 0x55;
                }
                assert!(Parts::open(&forged, &key).is_none(), "{first}, {second}");
            }
        }
    }
}
