//! Users by JSON Web Token: HS256 under a ring of keys, roles from the token or from a static list.
//!
//! The algorithm belongs to the key and is never taken from the token; header members that point to keys (`jku`, `x5u`,
//! `jwk`) or demand extensions (`crit`) are refused; see RFC 8725.

mod authenticator;
pub(crate) mod claims;
pub(crate) mod header;
mod key_ring;
mod mint;
pub(crate) mod ring_provider;
pub(crate) mod signed;
mod users;

pub use authenticator::{JwtUsers, NoUserAuth, SHORTEST_KEY, WeakKey};
pub use key_ring::{InvalidKeyRing, KeyRing, MOST_KEYS};
pub use mint::{MintError, mint, mint_with};
pub use users::{InvalidUsers, StaticUsers};
