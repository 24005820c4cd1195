//! From a request to an answer: pooled connections, failover, retries, limits on time and size.

pub(crate) mod connect;
mod pinned;
pub(crate) mod retry;
pub(crate) mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use orch_core::BoxError;

use crate::error::{ApiError, ClientError};
use crate::servers::{Server, Servers};
use connect::Connector;
use retry::{RetryPolicy, random_u64};

/// The largest answer that is read whole: 64 MiB.
const MAX_ANSWER: usize = 64 << 20;

pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A request that can be sent again.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    /// JSON, or empty.
    pub(crate) body: Bytes,
    /// For each try: until the whole answer is there; for streams until its head is.
    pub(crate) timeout: Duration,
    /// Whether it may be sent again though it may have been carried out: it reads only, or carries a key.
    pub(crate) repeatable: bool,
}

/// An answer of success, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    pub(crate) server: String,
    pub(crate) certificate: Option<[u8; 32]>,
}

/// Connections to the servers of one cluster.
pub(crate) struct Transport {
    pool: Pool<Connector, Body>,
    servers: Servers,
    user_agent: HeaderValue,
}

enum Payload {
    Whole(Bytes),
    Stream(Incoming),
}

impl Transport {
    pub(crate) fn new(
        servers: Servers,
        tls: rustls::ClientConfig,
        connect_timeout: Duration,
        user_agent: HeaderValue,
    ) -> Self {
        let connector = Connector::new(tls, connect_timeout);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(Duration::from_secs(20))
            .build(connector);
        Self { pool, servers, user_agent }
    }

    /// Sends, and reads the whole answer. An answer that is no success is [`ClientError::Api`].
    pub(crate) async fn exchange(
        &self,
        request: &Outgoing,
        policy: &RetryPolicy,
    ) -> Result<Answer, ClientError> {
        let (server, response) = self.attempt_all(request, policy, false).await?;
        let (parts, payload) = response.into_parts();
        let Payload::Whole(body) = payload else { unreachable!("asked for the whole answer") };
        let certificate = parts.extensions.get::<connect::ServerCertificate>().map(|c| c.0);
        Ok(Answer { status: parts.status, body, server, certificate })
    }

    /// Sends, and answers the body as it comes. Which server, too, for messages.
    pub(crate) async fn open(
        &self,
        request: &Outgoing,
        policy: &RetryPolicy,
    ) -> Result<(String, Incoming), ClientError> {
        let (server, response) = self.attempt_all(request, policy, true).await?;
        let Payload::Stream(body) = response.into_body() else { unreachable!("asked for the stream") };
        Ok((server, body))
    }

    /// Sends a body that is made as it goes, once, to the preferred server; ends when the server has answered.
    pub(crate) async fn upload(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(), ClientError> {
        self.duplex(method, path_and_query, headers, body).await.map(drop)
    }

    /// The same; answers once the head of the answer is there, while the body may still be on its way.
    pub(crate) async fn duplex(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<(String, Incoming), ClientError> {
        let (index, server) = self.servers.pick(self.servers.preferred(), 0);
        let request = self.build(server, method, path_and_query, &headers, body)?;
        let sent = self.pool.request(request).await;
        let response = sent.map_err(|e| not_answered(server, e))?;
        self.servers.prefer(index);
        if response.status().is_success() {
            return Ok((server.to_string(), response.into_body()));
        }
        let (parts, body) = response.into_parts();
        let body = collect(server, body).await?;
        Err(ApiError::from_answer(parts.status, &parts.headers, &body).into())
    }

    async fn attempt_all(
        &self,
        request: &Outgoing,
        policy: &RetryPolicy,
        stream: bool,
    ) -> Result<(String, Response<Payload>), ClientError> {
        let first = self.servers.preferred();
        let mut round = 0;
        loop {
            let mut asked_to_wait = None;
            let mut last = None;
            for attempt in 0..self.servers.len() {
                let (index, server) = self.servers.pick(first, attempt);
                let error = match self.attempt(server, request, stream).await {
                    Ok(response) => {
                        self.servers.prefer(index);
                        return Ok((server.to_string(), response));
                    }
                    Err(error) => error,
                };
                if !may_repeat(&error, request.repeatable) {
                    if matches!(error, ClientError::Api(_)) {
                        self.servers.prefer(index);
                    }
                    return Err(error);
                }
                tracing::debug!(%server, error = %error, "trying on");
                asked_to_wait = asked_to_wait.max(error.api().and_then(|e| e.retry_after));
                last = Some(error);
            }
            let error = last.expect("there is at least one server");
            round += 1;
            if round >= policy.rounds {
                return Err(error);
            }
            match policy.wait(round - 1, asked_to_wait, random_u64()) {
                None => return Err(error),
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn attempt(
        &self,
        server: &Server,
        request: &Outgoing,
        stream: bool,
    ) -> Result<Response<Payload>, ClientError> {
        let body = Full::new(request.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut headers = request.headers.clone();
        if !request.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let built = self.build(server, request.method.clone(), &request.path_and_query, &headers, body)?;
        let work = async {
            let response = self.pool.request(built).await.map_err(|e| not_answered(server, e))?;
            let success = response.status().is_success();
            let (parts, body) = response.into_parts();
            if stream && success {
                return Ok(Response::from_parts(parts, Payload::Stream(body)));
            }
            let body = collect(server, body).await?;
            if success {
                Ok(Response::from_parts(parts, Payload::Whole(body)))
            } else {
                Err(ApiError::from_answer(parts.status, &parts.headers, &body).into())
            }
        };
        match tokio::time::timeout(request.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { server: server.to_string(), after: request.timeout }),
        }
    }

    fn build(
        &self,
        server: &Server,
        method: Method,
        path_and_query: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Request<Body>, ClientError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = server.uri(path_and_query)?;
        *request.headers_mut() = headers.clone();
        request.headers_mut().insert(USER_AGENT, self.user_agent.clone());
        Ok(request)
    }
}

/// Whether another try is right: nothing was carried out, or carrying it out twice does no harm.
fn may_repeat(error: &ClientError, repeatable: bool) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        // `too_many_requests` and `unavailable` say that nothing was done. A proxy's 502 or 504 does not.
        ClientError::Api(answer) => match answer.status {
            429 => true,
            502..=504 => repeatable,
            _ => false,
        },
        ClientError::Broken { .. } | ClientError::Timeout { .. } => repeatable,
        ClientError::Config { .. } | ClientError::Request(_) | ClientError::Protocol { .. } => false,
    }
}

fn not_answered(server: &Server, error: hyper_util::client::legacy::Error) -> ClientError {
    let server = server.to_string();
    if error.is_connect() {
        ClientError::Unreachable { server, source: error.into() }
    } else {
        ClientError::Broken { server, source: error.into() }
    }
}

async fn collect(server: &Server, body: Incoming) -> Result<Bytes, ClientError> {
    match Limited::new(body, MAX_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::Protocol {
            server: server.to_string(),
            problem: format!("it is longer than {} MiB", MAX_ANSWER >> 20),
        }),
        Err(error) => Err(ClientError::Broken { server: server.to_string(), source: error }),
    }
}
