//! Letting nodes in: the node key for those that return, and for new ones a chain of attestors: a static registration token,
//! one-time tokens, or an embedder's own.
//!
//! ```
//! use orch_auth::enrollment::{EnrollmentChain, OneTimeTokens, StaticToken};
//! use orch_auth::key::ServerKey;
//! use orch_core::secret::Secret;
//!
//! let key = ServerKey::derive(&Secret::new("0123456789abcdef".to_owned()))?;
//! let shared = Secret::new("a token that all new nodes have".to_owned());
//! let enrollment = EnrollmentChain::new(key.clone())
//!     .attestor(OneTimeTokens::new(key.clone()))
//!     .attestor(StaticToken::new(key, &shared));
//! # let _ = enrollment;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod anybody;
mod chain;
mod challenge;
mod one_time;
mod signature;
mod static_token;

pub use anybody::Anybody;
pub use chain::EnrollmentChain;
pub use one_time::{OneTimeTokens, TOKEN_PREFIX, UnreadableToken, server_pin};
pub use static_token::{SHORTEST_TOKEN, StaticToken};
