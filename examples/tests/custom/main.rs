//! The custom parts of `orch_examples::custom`: held to the contracts, and at work in a cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod contracts;
mod credentials;
mod functions;
mod journal;
mod users;
