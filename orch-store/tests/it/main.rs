//! The stores against the contract of `orch-core`, and against what files and servers do to them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crash;
mod migrations;
mod postgres_fences;
mod postgres_server;
mod power_cut;
mod schema;
mod sqlite_file;
mod sqlite_keeps;
mod sqlite_place;
mod workload;

orch_core::store_contract!(sqlite => sqlite_file::fresh().await);
orch_core::store_contract!(postgres => postgres_server::fresh().await);
