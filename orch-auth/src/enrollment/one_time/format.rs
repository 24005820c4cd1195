//! The form of an enrolment token: `orche_` + base64url of the sealed parts + 8 hexadecimal digits of checksum.

use orch_core::id::{EnrollmentTokenId, TypedId as _};
use orch_core::identity::ServerPin;
use orch_core::secret::Secret;
use ring::hmac;
use zeroize::Zeroizing;

use crate::sealed_text;
use crate::tag::{self, TAG};

/// What every enrolment token begins with.
pub const TOKEN_PREFIX: &str = "orche_";
const BODY: usize = 16 + 1 + 32 + 32;

/// The body of a token followed by its tag.
pub(super) type Sealed = Zeroizing<[u8; BODY + TAG]>;

/// What a token says.
pub(super) struct Parts {
    pub(super) id: EnrollmentTokenId,
    pub(super) server: Option<ServerPin>,
    pub(super) random: [u8; 32],
}

impl Parts {
    pub(super) fn seal(&self, key: &hmac::Key) -> Sealed {
        let mut sealed = Zeroizing::new([0; BODY + TAG]);
        sealed[..16].copy_from_slice(self.id.uuid().as_bytes());
        if let Some(server) = self.server {
            sealed[16] = 1;
            sealed[17..49].copy_from_slice(&server.0);
        }
        sealed[49..BODY].copy_from_slice(&self.random);
        tag::write(key, sealed.as_mut_slice());
        sealed
    }

    /// `None` where the tag is not of this key.
    pub(super) fn open(sealed: &Sealed, key: &hmac::Key) -> Option<Self> {
        tag::is_right(key, sealed.as_slice()).then(|| Self::read(sealed))
    }

    /// What it says, whoever made it.
    pub(super) fn read(sealed: &Sealed) -> Self {
        let array = |range: std::ops::Range<usize>| {
            <[u8; 32]>::try_from(&sealed[range]).expect("the range has 32 bytes")
        };
        let id = uuid::Uuid::from_slice(&sealed[..16]).expect("a UUID has sixteen bytes");
        Self {
            id: EnrollmentTokenId::from_uuid(id),
            server: (sealed[16] == 1).then(|| ServerPin(array(17..49))),
            random: array(49..BODY),
        }
    }
}

pub(super) fn to_text(sealed: &Sealed) -> Secret<String> {
    sealed_text::write(TOKEN_PREFIX, sealed.as_slice())
}

/// `None` where the text has not the form of a token.
pub(super) fn from_text(text: &Secret<String>) -> Option<Sealed> {
    let mut sealed = Zeroizing::new([0; BODY + TAG]);
    sealed_text::read(TOKEN_PREFIX, text.expose().trim(), sealed.as_mut_slice())?;
    Some(sealed)
}
