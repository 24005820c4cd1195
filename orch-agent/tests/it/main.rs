//! The agent's loop on a runtime in memory and a small control plane, under paused time.
#![expect(clippy::disallowed_methods, reason = "tests stand outside the environment that the agent lives in")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod crash;
mod deploy;
mod disconnect;
mod ends;
mod engine;
mod identity;
mod images;
mod node;
mod server;
