//! The form of a node credential: `orchn_` + base64url of the sealed parts + 8 hexadecimal digits of checksum.

use orch_core::id::{NodeId, TypedId as _};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use ring::hmac;
use zeroize::Zeroizing;

use crate::sealed_text;
use crate::tag::{self, TAG};

const PREFIX: &str = "orchn_";
const BODY: usize = 16 + 8 + 8 + 32;

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
        tag::write(key, sealed.as_mut_slice());
        sealed
    }

    /// `None` where the tag is not of this key.
    pub(super) fn open(sealed: &Sealed, key: &hmac::Key) -> Option<Self> {
        if !tag::is_right(key, sealed.as_slice()) {
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
