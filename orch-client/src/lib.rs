//! # orch-client — the typed HTTP client of orch, and the `orch` command
//!
//! [`Client`] calls the `/v1` API as a user; [`HttpAgentApi`] is what an agent asks, over HTTP; [`deploy_file`] reads the
//! files that people write. The `orch` command is a thin layer of words and tables over these three.
#![forbid(unsafe_code)]

mod agent;
mod call;
pub mod cli;

mod client;
pub mod deploy_file;
mod error;
mod exec;
mod log_frames;
mod servers;
mod stream;
mod transport;

pub use agent::HttpAgentApi;
pub use call::CallOptions;
pub use client::{Client, ClientBuilder};
pub use error::{ApiError, ClientError};
pub use exec::ExecStream;
pub use log_frames::LogFrames;
pub use stream::{EventFollower, LogStream};
pub use transport::retry::RetryPolicy;
