//! HTTP over a control plane. The [router] is made from the table of endpoints; [layers] stand around it in one list;
//! a [call] authenticates, authorizes and only then reads; [handlers] take apart, ask, put together; [error] answers.

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod error;
pub(crate) mod handlers;
pub(crate) mod layers;
pub(crate) mod node_call;
pub(crate) mod router;

use std::sync::Arc;

use orch_auth::key::ServerKey;
use orch_core::control_plane::ControlPlane;
use orch_core::identity::{PeerCertificate, ServerPin};
use tokio_util::sync::CancellationToken;

pub use layers::Limits;
pub(crate) use router::router;

/// What the handlers work with. Clones share.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) control: ControlPlane,
    pub(crate) inner: Arc<AppParts>,
}

/// What an [`App`] holds besides the control plane.
pub(crate) struct AppParts {
    pub(crate) request_key: ServerKey,
    pub(crate) limits: Limits,
    pub(crate) metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    pub(crate) schema_version: u32,
    pub(crate) server_certificate: Option<[u8; 32]>,
    /// What enrolment tokens say of this server.
    pub(crate) server_pin: Option<ServerPin>,
    /// Polls and streams end when the server stops.
    pub(crate) stopping: CancellationToken,
}

/// The other side of a connection; the accept loop puts it into each request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: std::net::SocketAddr,
    /// Its verified certificate.
    pub certificate: Option<PeerCertificate>,
}
