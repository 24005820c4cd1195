//! A server on loopback that answers what a test tells it to, and remembers what it was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
pub(crate) enum Reply {
    Json(u16, serde_json::Value),
    With(u16, &'static [(&'static str, &'static str)], String),
    Chunks(Vec<&'static [u8]>),
    /// The connection ends without an answer.
    HangUp,
    /// No answer ever.
    Silence,
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    Reply::Json(
        status,
        serde_json::json!({"error": {"code": code, "message": format!("this is {code}"), "request_id": "r-7"}}),
    )
}

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` gets the request and how many came before it.
    pub(crate) async fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, answer).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (seen, answer, tls) = (Arc::clone(&seen), Arc::clone(&answer), tls.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                        async move { handle(request, &seen, &*answer).await }
                    });
                    let builder = Builder::new(TokioExecutor::new());
                    match tls {
                        None => drop(builder.serve_connection(TokioIo::new(tcp), service).await),
                        Some(tls) => {
                            let Ok(stream) = tls.accept(tcp).await else { return };
                            drop(builder.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                });
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// A port on loopback that nobody listens on.
pub(crate) async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

async fn handle(
    request: Request<Incoming>,
    seen: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked, usize) -> Reply + Send + Sync),
) -> Result<Response<Body>, &'static str> {
    let (parts, body) = request.into_parts();
    let asked = Asked {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: body.collect().await.map_err(|_| "the request broke")?.to_bytes(),
    };
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(asked.clone());
        seen.len() - 1
    };
    let full = |status: u16, text: String| {
        let body = if status == 204 { Bytes::new() } else { text.into() };
        Response::builder().status(status).body(Full::new(body).boxed_unsync()).unwrap()
    };
    Ok(match answer(&asked, before) {
        Reply::Json(status, value) => full(status, value.to_string()),
        Reply::With(status, headers, text) => {
            let mut response = full(status, text);
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().unwrap());
            }
            response
        }
        Reply::Chunks(chunks) => {
            let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk))));
            Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
        }
        Reply::HangUp => return Err("hang up"),
        Reply::Silence => std::future::pending().await,
    })
}
