//! Users by JSON Web Token: HS256 under one secret, roles from the token or from a static list.
//!
//! The algorithm belongs to the key and is never taken from the token; header members that point to keys (`jku`, `x5u`,
//! `jwk`) or demand extensions (`crit`) are refused; see RFC 8725.

mod authenticator;
mod claims;
mod header;
mod mint;
mod ring_provider;
mod users;

pub use authenticator::{JwtUsers, NoUserAuth, SHORTEST_KEY, WeakKey};
pub use mint::{MintError, mint};
pub use users::{InvalidUsers, StaticUsers};
