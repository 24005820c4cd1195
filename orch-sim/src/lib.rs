//! # orch-sim — the production code under every fault, on virtual time
//!
//! The control plane, the agent loop, convergence and the credential protocol are the production ones; what is simulated is
//! what surrounds them: the executor and the clocks ([`orch_core::testing::env`]), the network ([`network`]), the disk
//! ([`disk`]), the engines ([`orch_core::testing::runtime`]) and the people ([`workload`]).
//!
//! A seed decides everything. First comes safety under faults: after every step that changed anything, [`oracle`] holds the
//! invariants against it. Then liveness: the faults end, and the cluster must converge within a bound and go quiet.
//!
//! ```
//! let outcome = orch_sim::run(7, &orch_sim::Plan { faulty: std::time::Duration::from_secs(20), ..Default::default() });
//! assert_eq!(outcome.failure, None);
//! assert_eq!(outcome.trace, orch_sim::run(7, &orch_sim::Plan { faulty: std::time::Duration::from_secs(20), ..Default::default() }).trace);
//! ```
#![forbid(unsafe_code)]

pub mod apart;
pub mod checks;
pub mod coverage;
pub mod disk;
pub mod disruption;
pub mod door;
pub mod engine;
pub mod follower;
pub mod incident;
pub mod lives;
pub mod machines;
pub mod many;
pub mod memory;
pub mod network;
pub mod oracle;
mod picture;
pub mod planted;
pub mod shrink;
pub mod slots;
pub mod specs;
pub mod story;
pub mod thief;
mod truth;
pub mod workload;
pub mod world;

pub use story::{Outcome, Plan, run};
