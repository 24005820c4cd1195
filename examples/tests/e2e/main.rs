//! What a user does, end to end: `orch-server`, `orch-agent`s and `orch` as processes of their own, on the machine's Docker
//! Engine. Without an engine the tests fail.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "a failed test shows what the daemons logged")]

mod binaries;
mod chaos;
mod crashes;
mod daemon;
mod dev;
mod drains;
mod engine;
mod exec;
mod guide;
mod http;
mod identity;
mod images;
mod main_job;
mod poll;
mod processes;
mod rebalance;
mod registry;
mod secrets;
mod site;
mod specs;
mod stats;
mod streams;
mod tls;
