//! # orch-server — the HTTP API over a control plane, and the `orch-server` daemon
//!
//! [`Server`] serves a `ControlPlane` that someone else, an embedder, a test or the daemon of this crate,
//! puts together.
#![forbid(unsafe_code)]

mod http;
mod serve;
mod server;
mod tls;

pub use http::{Limits, Peer};
pub use serve::ConnectionLimits;
pub use server::{Server, ServerBuilder};
pub use tls::{ServerTls, TlsError};
