//! # orch-server — the HTTP API over a control plane, and the `orch-server` daemon
//!
//! [`Server`] serves a `ControlPlane` that someone else, an embedder, a test or [`daemon`], puts together. [`local`] puts one
//! together with its agents, in one process. [`config`] is what the daemon is told, [`telemetry`] how it tells what it does.
#![forbid(unsafe_code)]

pub mod config;
pub mod daemon;
pub mod dev;
mod http;
pub mod local;
mod reload;
mod serve;
mod server;
pub mod telemetry;
mod tls;
mod users;

pub use http::{Limits, Peer};
pub use reload::Reloader;
pub use serve::ConnectionLimits;
pub use server::{Server, ServerBuilder};
pub use tls::{ServerTls, TlsError};
