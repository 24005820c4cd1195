//! [`Server`]: build, address, run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use orch_auth::key::ServerKey;
use orch_core::control_plane::ControlPlane;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::{self, App, AppParts, Limits};
use crate::serve::{ConnectionLimits, Serve};
use crate::tls::ServerTls;

/// An HTTP API over a control plane, bound to an address and not yet serving.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    serve: Serve,
    stopping: CancellationToken,
    drain: Duration,
    control: ControlPlane,
    beside: Vec<BoxFuture<'static, ()>>,
}

/// Collects what a [`Server`] is made of.
#[must_use = "a builder does nothing until `bind`"]
pub struct ServerBuilder {
    control: ControlPlane,
    request_key: ServerKey,
    tls: Option<ServerTls>,
    metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    schema_version: u32,
    limits: Limits,
    connections: ConnectionLimits,
    drain: Duration,
    beside: Vec<BoxFuture<'static, ()>>,
}

impl Server {
    /// A server over this control plane. `request_key` digests requests that bear an idempotency key: the same on all
    /// servers of a cluster.
    pub fn builder(control: ControlPlane, request_key: ServerKey) -> ServerBuilder {
        ServerBuilder {
            control,
            request_key,
            tls: None,
            metrics: None,
            schema_version: 0,
            limits: Limits::default(),
            connections: ConnectionLimits::default(),
            drain: Duration::from_secs(10),
            beside: Vec::new(),
        }
    }

    /// Where it listens; known before the first request.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; then stops accepting, ends polls and streams, answers what was accepted, and shuts
    /// the control plane down.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping;
        let signal = async {
            shutdown.await;
            stopping.cancel();
        };
        let beside = async {
            tokio::select! {
                biased;
                () = stopping.cancelled() => {}
                _ = join_all(self.beside) => {}
            }
        };
        tokio::join!(signal, self.serve.run(self.listener, &stopping, self.drain), beside);
        self.control.shutdown().await;
    }
}

impl ServerBuilder {
    /// Speaks TLS. Default: plain HTTP.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Renders the metrics that `/metrics` answers. Default: there are none, since the recorder belongs to the process.
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// The schema of the store, as `/v1/version` shows it. Default: 0, for stores without one.
    pub const fn schema_version(mut self, version: u32) -> Self {
        self.schema_version = version;
        self
    }

    /// What a request may take.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What connections may take.
    pub fn connections(mut self, limits: ConnectionLimits) -> Self {
        self.connections = limits;
        self
    }

    /// How long open requests may go on once the server stops. Default: 10 s.
    pub const fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Runs this beside the requests, until it is done or the server stops: what the parts need while they serve.
    pub fn beside(mut self, work: impl Future<Output = ()> + Send + 'static) -> Self {
        self.beside.push(Box::pin(work));
        self
    }

    /// Takes the address.
    ///
    /// # Errors
    /// It cannot be had.
    pub async fn bind(self, address: SocketAddr) -> std::io::Result<Server> {
        let listener = TcpListener::bind(address).await?;
        let stopping = CancellationToken::new();
        let parts = AppParts {
            request_key: self.request_key,
            limits: self.limits,
            metrics: self.metrics,
            schema_version: self.schema_version,
            server_certificate: self.tls.as_ref().map(|tls| tls.thumbprint),
            server_pin: self.tls.as_ref().map(|tls| tls.pin),
            stopping: stopping.clone(),
        };
        let app = App { control: self.control.clone(), inner: Arc::new(parts) };
        Ok(Server {
            address: listener.local_addr()?,
            listener,
            serve: Serve { router: http::router(app), tls: self.tls, limits: self.connections },
            stopping,
            drain: self.drain,
            control: self.control,
            beside: self.beside,
        })
    }
}
