//! A real server on a loopback port, over a control plane on a `MemoryStore`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authorization;
mod bad_input;
mod legacy_agent;
mod routes;
mod world;
