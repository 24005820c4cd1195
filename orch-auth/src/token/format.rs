//! The form of a node credential: `orchn_` + base64url of the sealed parts + 8 hexadecimal digits of checksum.
//!
//! The prefix and the checksum (first four bytes of the SHA-256 of all before it) let scanners find leaked credentials
//! without knowing a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::id::{NodeId, TypedId as _};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use ring::{digest, hmac};
use zeroize::Zeroizing;

const PREFIX: &str = "orchn_";
const BODY: usize = 16 + 8 + 8 + 32;
const TAG: usize = 16;
const CHECKSUM: usize = 8;

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
    let mut text = String::with_capacity(PREFIX.len() + (BODY + TAG).div_ceil(3) * 4 + CHECKSUM);
    text.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(sealed.as_slice(), &mut text);
    let checksum = checksum(&text);
    text.push_str(&checksum);
    Secret::new(text)
}

/// `None` where the text has not the form of a credential.
pub(super) fn from_text(text: &Secret<String>) -> Option<Sealed> {
    let text = text.expose();
    let at = text.len().checked_sub(CHECKSUM).filter(|at| text.is_char_boundary(*at))?;
    let (front, found) = text.split_at(at);
    if checksum(front) != found {
        return None;
    }
    let mut sealed = Zeroizing::new([0; BODY + TAG]);
    let length = URL_SAFE_NO_PAD.decode_slice(front.strip_prefix(PREFIX)?, sealed.as_mut_slice()).ok()?;
    (length == BODY + TAG).then_some(sealed)
}

fn checksum(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref()[..CHECKSUM / 2].iter().map(|byte| format!("{byte:02x}")).collect()
}
