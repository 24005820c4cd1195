//! # orch-auth — the identity backends that orch ships
//!
//! Users and nodes are authenticated by separate parts, and no credential of one is good for the other:
//!
//! - [`jwt`]: users by HS256 tokens under a ring of keys, roles from the token or from a static list;
//! - [`oidc`]: users of a foreign issuer, by its public keys;
//! - [`chain`]: several of them side by side;
//! - [`api_token`]: API tokens of service accounts;
//! - [`token`]: node credentials of 256 random bits, recognised by a keyed tag, stored as a keyed hash only;
//! - [`enrollment`]: one-time tokens and a static one for new nodes, beside possession of a node key;
//! - [`roles`]: the hierarchical authorizer;
//! - [`secrets`]: values of secrets from files;
//! - [`key`]: the server key that all of it derives from;
//! - [`watched`], [`live`]: what is read from a file, and read again while serving.
//!
//! Each implements a trait of `orch_core::identity` or `orch_core::secret`; embedders swap any of them.
//!
//! ```
//! use orch_auth::{jwt, key::ServerKey, token::TokenCredentials};
//! use orch_core::identity::{CredentialIssuer, Role, UserAuthenticator, UserProof};
//! use orch_core::{secret::Secret, time::Timestamp};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let secret = Secret::new("0123456789abcdef0123456789abcdef".to_owned());
//! let users = jwt::JwtUsers::new(&secret)?;
//! let now = Timestamp::from_micros(1_700_000_000_000_000);
//! let token = jwt::mint(&secret, &"alice".parse()?, Role::Operator, std::time::Duration::from_secs(600), now)?;
//!
//! let mut proof = UserProof::at(now);
//! proof.bearer = Some(token);
//! let alice = users.authenticate(&proof).await?;
//! assert_eq!(alice.grants.cluster, Some(Role::Operator));
//!
//! let nodes = TokenCredentials::new(ServerKey::derive(&secret)?);
//! let issued = nodes.issue("7b0c5d4e-0000-4000-8000-000000000001".parse()?, Default::default(), 1, [7; 32]);
//! assert!(issued.token.expose().starts_with("orchn_"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
#![forbid(unsafe_code)]

pub mod api_token;
pub mod chain;
pub mod enrollment;
pub mod jwt;
pub mod key;
pub mod live;
pub mod oidc;
pub mod roles;
mod sealed_text;
pub mod secrets;
mod tag;
pub mod token;
pub mod watched;
