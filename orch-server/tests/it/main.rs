//! A real server on a loopback port, over a control plane on a `MemoryStore`.

mod authorization;
mod bad_input;
mod legacy_agent;
mod routes;
mod world;
