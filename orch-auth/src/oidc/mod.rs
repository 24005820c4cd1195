//! Users of a foreign issuer, by OpenID Connect: its tokens, checked with the public keys that it publishes.
//!
//! RS256, ES256 and EdDSA; the algorithm belongs to the key. Issuer, audience and expiry are always checked. What the claims
//! mean here is a [`RoleMapping`]. Keys come from a file, or are fetched: cached, fetched anew for a key that is not known at a
//! bounded rate, and used on for a while where the issuer does not answer.

mod cache;
mod http;
mod jwks;
mod mapping;
mod users;

pub use cache::{FetchKeys, FetchedKeys, Freshness};
pub use http::{HttpKeys, InvalidSource};
pub use jwks::{InvalidKeySet, KeySet};
pub use mapping::{ClaimPath, InvalidClaimPath, RoleMapping};
pub use users::{IssuerKeys, OidcUsers};
