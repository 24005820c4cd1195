//! The raw half: HTTP over the engine's socket, on connections that are kept alive.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::error::EngineError;

/// An answer that is read whole may not be longer.
const ANSWER_LIMIT: usize = 16 << 20;

/// Opens connections to one socket, whatever the URI says.
#[derive(Clone)]
struct Connector {
    socket: PathBuf,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.socket.clone();
        Box::pin(async move { UnixStream::connect(socket).await.map(TokioIo::new) })
    }
}

/// What a request carries.
pub(super) enum Payload {
    Empty,
    Json(Vec<u8>),
    Tar(Bytes),
}

/// HTTP over the engine's socket. No deadlines: the caller sets them.
pub(super) struct Engine {
    client: Client<Connector, Full<Bytes>>,
}

impl Engine {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build(Connector { socket }) }
    }

    /// Sends a request; answers once the head of the response is there. Statuses from 300 on are [`EngineError::Answer`].
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<Response<Incoming>, EngineError> {
        let (kind, body) = match payload {
            Payload::Empty => (None, Bytes::new()),
            Payload::Json(json) => (Some("application/json"), json.into()),
            Payload::Tar(tar) => (Some("application/x-tar"), tar),
        };
        let mut request = Request::builder().method(method).uri(format!("http://docker{path}"));
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(Full::new(body)).map_err(EngineError::unexpected)?;
        let response = self.client.request(request).await.map_err(EngineError::transport)?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await?) }
    }

    /// Sends a request after which the connection is a pipe both ways.
    pub(super) async fn upgrade(&self, path: &str, json: Vec<u8>) -> Result<Upgraded, EngineError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://docker{path}"))
            .header("content-type", "application/json")
            .header("connection", "Upgrade")
            .header("upgrade", "tcp")
            .body(Full::new(Bytes::from(json)))
            .map_err(EngineError::unexpected)?;
        let response = self.client.request(request).await.map_err(EngineError::transport)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await?);
        }
        hyper::upgrade::on(response).await.map_err(EngineError::transport)
    }

    /// Sends a request and reads the answer whole, so that the connection can serve the next.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<Bytes, EngineError> {
        read(self.send(method, path, payload).await?).await
    }

    /// The same, for an answer in JSON.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        payload: Payload,
    ) -> Result<T, EngineError> {
        let bytes = self.exchange(method, path, payload).await?;
        serde_json::from_slice(&bytes).map_err(EngineError::unexpected)
    }
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// Why the engine did not do it.
async fn refusal(response: Response<Incoming>) -> Result<EngineError, EngineError> {
    let status = response.status();
    let body = read(response).await?;
    let message = serde_json::from_slice::<Refusal>(&body).map_or_else(
        |_| status.canonical_reason().unwrap_or("refused without a reason").to_owned(),
        |refusal| refusal.message,
    );
    Ok(EngineError::Answer { status: status.as_u16(), message })
}

async fn read(response: Response<Incoming>) -> Result<Bytes, EngineError> {
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    Ok(body.map_err(EngineError::Transport)?.to_bytes())
}

/// A value as it may stand in a query.
pub(super) fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes what is written");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::query_value;

    #[test]
    fn nothing_of_a_value_is_read_as_syntax_of_the_query() {
        assert_eq!(query_value("CMD [\"/web\"]&x=ü"), "CMD%20%5B%22%2Fweb%22%5D%26x%3D%C3%BC");
    }
}
