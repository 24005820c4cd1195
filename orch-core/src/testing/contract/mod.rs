//! Contract suites: what every implementation of a trait must do, ours and an embedder's alike.
//!
//! Each suite is a macro that makes one `#[tokio::test]` per promise, so the caller needs tokio with `macros` and `rt`.

pub mod agent_api;
pub mod runtime;
pub mod sample;
pub mod store;
