//! Typed ids: a UUID (version 4 in form) per kind, drawn from a seeded [`IdStream`] so that decisions stay repeatable.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What every typed id can do.
pub trait TypedId: Copy + Ord + fmt::Display + FromStr {
    /// The kind, as messages call it: `node`, `service`, …
    const KIND: &'static str;
    /// Wraps a UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// The UUID inside.
    fn uuid(self) -> Uuid;
}

/// A text that is no UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected a UUID of 36 characters")]
pub struct InvalidId {
    /// The kind of id that was expected.
    pub kind: &'static str,
}

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);
        impl TypedId for $name {
            const KIND: &'static str = $kind;
            fn from_uuid(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(self) -> Uuid { self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($kind, ":{}"), self.0) }
        }
        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if text.len() != 36 { return Err(InvalidId { kind: $kind }) }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId { kind: $kind })
            }
        }
    )*};
}

typed_id! {
    /// A cluster: made once, with its store.
    ClusterId = "cluster";
    /// A node; kept over re-registrations under the same name.
    NodeId = "node";
    /// An API token of a service account.
    ApiTokenId = "token";
    /// A service.
    ServiceId = "service";
    /// A task: one run of a service on one node, through all its attempts.
    TaskId = "task";
    /// A deployment (the routes call it a rollout).
    DeploymentId = "rollout";
    /// An event.
    EventId = "event";
    /// An audit record.
    AuditId = "audit record";
    /// A one-time enrolment token.
    EnrollmentTokenId = "enrolment token";
    /// One boot of an agent process.
    BootId = "boot";
}

/// A repeatable source of ids: the same seed yields the same ids in the same order.
///
/// The generator is SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), twice an id. Ids name things; they are no secrets.
#[derive(Debug, Clone)]
pub struct IdStream {
    state: u64,
}

impl IdStream {
    /// A stream from `seed`; the shell draws a fresh seed for each command.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next id.
    #[expect(
        clippy::should_implement_trait,
        reason = "the kind of id is the caller's to choose, so it is no iterator"
    )]
    pub fn next<I: TypedId>(&mut self) -> I {
        let high = self.next_u64();
        let low = self.next_u64();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        I::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The next number, for jitter.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_yield_equal_ids_of_version_four() {
        let (mut a, mut b) = (IdStream::seeded(7), IdStream::seeded(7));
        let ids: Vec<TaskId> = (0..100).map(|_| a.next()).collect();
        assert_eq!(ids, (0..100).map(|_| b.next()).collect::<Vec<TaskId>>());
        assert!(ids.iter().all(|id| id.uuid().get_version_num() == 4));
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
    }

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id: NodeId = IdStream::seeded(1).next();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in ["", "x", "0123456789abcdef0123456789abcdef", "{00000000-0000-0000-0000-00000000000}"] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
    }
}
