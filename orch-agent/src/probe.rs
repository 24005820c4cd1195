//! Health probes, against the task's own ports on its own node only.

mod tls;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use orch_core::converge::ProbeOutcome;
use orch_core::service::{AssignedPort, HealthCheck, Probe, Protocol, Scheme};

/// How much of a failed answer's body is kept for people.
const BODY_SHOWN: usize = 200;

/// What is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The node's address, and the port that the task owns on it.
    pub address: SocketAddr,
    /// What is asked.
    pub probe: Probe,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl ProbeTarget {
    /// Where a check goes; `None` where the task owns no such TCP port, or none is asked. The check names the container's port,
    /// or the published one.
    #[must_use]
    pub fn of(check: &HealthCheck, ports: &[AssignedPort], address: IpAddr) -> Option<Self> {
        let wanted = check.probe.port()?;
        let tcp = || ports.iter().filter(|port| port.protocol == Protocol::Tcp);
        let port = tcp()
            .find(|port| port.container_port == wanted)
            .or_else(|| tcp().find(|port| port.host_port == wanted))?;
        let address = SocketAddr::new(address, port.host_port.get());
        Some(Self { address, probe: check.probe.clone(), timeout: check.timeout })
    }
}

/// Asks a task whether it serves.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// One probe. Answers within the target's timeout; cancel-safe.
    async fn probe(&self, target: &ProbeTarget) -> ProbeOutcome;
}

/// Asks over the network.
#[derive(Debug, Default)]
pub struct NetProber;

#[async_trait]
impl Prober for NetProber {
    #[expect(
        clippy::disallowed_methods,
        reason = "sockets are outside the simulation, and so is their clock"
    )]
    async fn probe(&self, target: &ProbeTarget) -> ProbeOutcome {
        let asked = describe(target);
        match tokio::time::timeout(target.timeout, ask(target)).await {
            Ok(Ok(())) => ProbeOutcome::Success,
            Ok(Err(Wrong::Failed(why))) => ProbeOutcome::Failure(format!("{asked}: {why}")),
            Ok(Err(Wrong::CannotAsk(why))) => ProbeOutcome::Unknown(format!("{asked}: {why}")),
            Err(_) => ProbeOutcome::Failure(format!("{asked}: no answer within {:?}", target.timeout)),
        }
    }
}

enum Wrong {
    Failed(String),
    CannotAsk(String),
}

fn failed(error: impl std::fmt::Display) -> Wrong {
    Wrong::Failed(error.to_string())
}

fn describe(target: &ProbeTarget) -> String {
    match &target.probe {
        Probe::Tcp { .. } => format!("connect {}", target.address),
        Probe::Http { scheme: Scheme::Http, path, .. } => format!("GET http://{}{path}", target.address),
        Probe::Http { scheme: Scheme::Https, path, .. } => format!("GET https://{}{path}", target.address),
        Probe::Exec { command } => format!("`{}`", command.join(" ")),
    }
}

async fn ask(target: &ProbeTarget) -> Result<(), Wrong> {
    let (scheme, path) = match &target.probe {
        Probe::Tcp { .. } => return connect(target.address).await.map(drop),
        Probe::Http { scheme, path, .. } => (scheme, path),
        Probe::Exec { .. } => {
            return Err(Wrong::CannotAsk("a command is not asked over the network".to_owned()));
        }
    };
    let request = hyper::Request::get(path.as_str())
        .header(hyper::header::HOST, target.address.to_string())
        .header(hyper::header::USER_AGENT, "orch-probe/1")
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| Wrong::CannotAsk(error.to_string()))?;
    let stream = connect(target.address).await?;
    match scheme {
        Scheme::Http => exchange(stream, request).await,
        Scheme::Https => {
            let stream =
                tls::wrap(stream, target.address).await.map_err(|error| failed(format!("TLS: {error}")))?;
            exchange(stream, request).await
        }
    }
}

/// One request and its answer on a connection.
async fn exchange(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    request: hyper::Request<Empty<bytes::Bytes>>,
) -> Result<(), Wrong> {
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Both halves live in this future, so that a probe which is given up leaves no task behind.
    let exchange = async move {
        let answer = send.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        let beginning = first_bytes(answer.into_body()).await;
        Err(Wrong::Failed(format!("status {}{beginning}", status.as_u16())))
    };
    let exchange = std::pin::pin!(exchange);
    let connection = std::pin::pin!(connection);
    match futures_util::future::select(exchange, connection).await {
        futures_util::future::Either::Left((result, _)) => result,
        futures_util::future::Either::Right((_, exchange)) => exchange.await,
    }
}

async fn connect(address: SocketAddr) -> Result<tokio::net::TcpStream, Wrong> {
    tokio::net::TcpStream::connect(address).await.map_err(failed)
}

/// The beginning of a body, as one line.
async fn first_bytes(mut body: hyper::body::Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < BODY_SHOWN {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
            _ => break,
        }
    }
    bytes.truncate(BODY_SHOWN);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {}", text.escape_debug()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn serve(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a server for the test")]
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
            }
        });
        address
    }

    async fn probe(address: SocketAddr, probe: Probe) -> ProbeOutcome {
        NetProber.probe(&ProbeTarget { address, probe, timeout: Duration::from_millis(500) }).await
    }

    fn http() -> Probe {
        Probe::Http { port: 80.try_into().unwrap(), scheme: Scheme::Http, path: "/healthz".into() }
    }

    fn tcp() -> Probe {
        Probe::Tcp { port: 80.try_into().unwrap() }
    }

    #[tokio::test]
    async fn https_is_asked_whatever_the_certificate_says_and_what_is_no_tls_fails() {
        let made = rcgen::generate_simple_self_signed(["web.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a server for the test")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                let fine = request[..read].starts_with(b"GET /healthz ");
                let status = if fine { "200 OK" } else { "404 Not Found" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        let https = |path: &str| Probe::Http {
            port: 80.try_into().unwrap(),
            scheme: Scheme::Https,
            path: path.to_owned(),
        };
        assert_eq!(probe(secure, https("/healthz")).await, ProbeOutcome::Success);
        let ProbeOutcome::Failure(why) = probe(secure, https("/other")).await else { panic!() };
        assert!(why.ends_with("/other: status 404"), "{why}");
        let plain = serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let ProbeOutcome::Failure(why) = probe(plain, https("/healthz")).await else { panic!() };
        assert!(why.starts_with(&format!("GET https://{plain}/healthz: TLS: ")), "{why}");
    }

    #[tokio::test]
    async fn two_and_three_hundreds_are_success_and_redirects_are_not_followed() {
        let fine = serve("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(probe(fine, http()).await, ProbeOutcome::Success);
        let away =
            serve("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n").await;
        assert_eq!(probe(away, http()).await, ProbeOutcome::Success);
        assert_eq!(probe(fine, tcp()).await, ProbeOutcome::Success);
    }

    #[tokio::test]
    async fn a_failure_says_what_was_asked_and_answered() {
        let broken = serve("HTTP/1.1 503 x\r\nContent-Length: 9\r\n\r\nno\u{7} disk\n").await;
        let ProbeOutcome::Failure(why) = probe(broken, http()).await else { panic!() };
        assert_eq!(why, format!("GET http://{broken}/healthz: status 503: no\\u{{7}} disk"));
        let silent = serve("").await;
        let ProbeOutcome::Failure(why) = probe(silent, http()).await else { panic!() };
        assert!(why.contains("no answer within 500ms"), "{why}");
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(probe(closed, tcp()).await, ProbeOutcome::Failure(_)));
    }

    #[test]
    fn only_a_tcp_port_of_the_task_itself_is_probed() {
        let check = |port: u16| HealthCheck {
            probe: Probe::Tcp { port: port.try_into().unwrap() },
            start_period: Duration::ZERO,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            healthy_threshold: 1,
            unhealthy_threshold: 1,
        };
        let port = |protocol, container: u16, host: u16| AssignedPort {
            name: None,
            protocol,
            container_port: container.try_into().unwrap(),
            host_port: host.try_into().unwrap(),
        };
        let ports = [port(Protocol::Udp, 53, 30001), port(Protocol::Tcp, 80, 30002)];
        let at = |wanted| ProbeTarget::of(&check(wanted), &ports, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(at(80).unwrap().address.port(), 30002);
        assert_eq!(at(30002).unwrap().address.port(), 30002);
        for other in [53, 30001, 22] {
            assert_eq!(at(other), None);
        }
    }
}
