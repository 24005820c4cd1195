//! A real server on a loopback port, over a control plane on a `MemoryStore`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod authorization;
mod bad_input;
mod canary;
mod daemon;
mod enrollment;
mod issuer;
mod kept_users;
mod legacy_agent;
mod logs;
mod openapi;
mod routes;
mod stats;
mod store_faults;
mod tls;
mod users;
mod world;
