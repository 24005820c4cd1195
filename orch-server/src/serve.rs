//! The accept loop: bounded connections, bounded handshakes, and an end that lets what was begun finish.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use orch_core::api::error::{ErrorBody, ErrorInfo};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::http::Peer;
use crate::tls::ServerTls;

/// What connections may take.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// How many at a time; more wait in the system's backlog.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a connection's first request to begin: a peer that says nothing is cut.
    pub first_request: Duration,
    /// For the head of a request, and between requests of a connection.
    pub head: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(5),
            first_request: Duration::from_secs(10),
            head: Duration::from_secs(30),
        }
    }
}

/// What every connection is served with.
#[derive(Clone)]
pub(crate) struct Serve {
    pub(crate) router: Router,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) limits: ConnectionLimits,
}

impl Serve {
    /// Accepts until `stop`, then waits for open connections, at most `drain`.
    pub(crate) async fn run(self, listener: TcpListener, stop: &CancellationToken, drain: Duration) {
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(self.limits.connections));
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = Arc::clone(&room).acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            let (stream, address) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // Out of descriptors, most likely: give connections time to end.
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (serve, watcher) = (self.clone(), graceful.watcher());
            tokio::spawn(async move {
                serve.connection(stream, address, watcher).await;
                drop(permit);
            });
        }
        drop(listener);
        if timeout(drain, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still open after the time to drain; they are cut");
        }
    }

    async fn connection(self, stream: TcpStream, address: SocketAddr, watcher: Watcher) {
        // Answers are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.requests(stream, address, watcher).await };
        let handshake = async {
            if speaks_plain_http(&stream).await? {
                say_that_this_is_tls(stream).await?;
                return Err(io::Error::other("the peer speaks plain HTTP"));
            }
            tls.acceptor.accept(stream).await
        };
        match timeout(self.limits.handshake, handshake).await {
            Ok(Ok(stream)) => self.requests(stream, address, watcher).await,
            Ok(Err(error)) => tracing::debug!(%address, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
        }
    }

    async fn requests<S>(&self, stream: S, address: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = Arc::new(Notify::new());
        let (began, router) = (Arc::clone(&first), self.router.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            began.notify_one();
            request.extensions_mut().insert(Peer { address, certificate: None });
            let answer = router.clone().oneshot(request.map(Body::new));
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(64 * 1024)
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(256)
            .max_header_list_size(32 * 1024);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let silent = async {
            if timeout(self.limits.first_request, first.notified()).await.is_ok() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection ended badly");
            },
            () = silent => tracing::debug!(%address, "a connection that said nothing was cut"),
        }
    }
}

/// A method begins with a capital letter, a TLS handshake does not.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase())
}

/// In words that whoever forgot the `s` understands; what he sent is not looked at.
async fn say_that_this_is_tls(mut stream: TcpStream) -> io::Result<()> {
    let words = "this port speaks HTTPS: the server's URL begins with https://";
    let body = ErrorBody { error: ErrorInfo::new("invalid_argument", words) };
    let body = serde_json::to_string(&body).expect("an error body is plain data");
    let length = body.len();
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close";
    stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).await?;
    stream.shutdown().await?;
    // A close before he has sent all would be a reset, and the answer lost. Whoever sends more than a request is cut.
    let mut rest = stream.take(256 * 1024);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.map(drop)
}
