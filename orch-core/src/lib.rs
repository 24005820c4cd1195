//! # orch-core — a container orchestrator without I/O of its own
//!
//! Read in this order: [`cluster`] (what is, and how it changes) → [`command`] (what may be asked, and what follows) →
//! [`reconcile`] (what should be) → [`schedule`] (where) → [`rehearse`] (what would be) → [`control_plane`] (the shell around them) → [`converge`]
//! (making it so on a node). [`identity`] stands beside them all.
//!
//! Nothing here knows HTTP servers, SQL, Docker or TLS. `cluster`, `command`, `reconcile`, `schedule` and `converge` know
//! no clock, no randomness and no `async`.
#![forbid(unsafe_code)]

pub mod agent;
pub mod api;
pub mod cluster;
pub mod command;
pub mod control_plane;
pub mod converge;
pub mod deployment;
pub mod env;
mod hex;
pub mod id;
pub mod identity;
pub mod name;
pub mod node;
pub mod rebalance;
pub mod reconcile;
pub mod record;
pub mod rehearse;
pub mod runtime;
pub mod schedule;
pub mod secret;
pub mod service;
pub mod store;
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod user;
pub mod why;

/// An error of a backend, whatever it is.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
