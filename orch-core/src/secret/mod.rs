//! Secret values: how they are held, named and resolved.

pub mod provider;
pub mod reference;
pub mod sensitive;

pub use provider::{ResolvedSecret, ResolvedSecrets, SecretError, SecretProvider};
pub use reference::{SecretDelivery, SecretRef};
pub use sensitive::Secret;
