//! A real server on a loopback port, over a control plane on a `MemoryStore`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod authorization;
mod bad_input;
mod legacy_agent;
mod routes;
mod world;
