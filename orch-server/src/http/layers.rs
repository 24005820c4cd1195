//! What stands around every handler, in one list: [`around`]. The first sees a request first and its answer last.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::{HeaderValue, Method};
use orch_core::api::endpoint::{Access, Pace, Row, TABLE};
use orch_core::api::version::API_VERSION;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::AppParts;
use super::error::{ApiError, envelope};

/// What a request may take.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest body that is read.
    pub body_bytes: usize,
    /// How long an answer may take, polls and streams aside.
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, answer: Duration::from_secs(15) }
    }
}

/// All layers, in order.
pub(crate) fn around(router: Router, parts: Arc<AppParts>) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn(request_id))
            .layer(from_fn(access_log))
            .layer(from_fn(api_version))
            .layer(from_fn(envelope))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(parts, pace)),
    )
}

/// A request's id: the caller's, or one of ours.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

const REQUEST_ID: &str = "x-request-id";

async fn request_id(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).map(str::trim);
    let fit = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    let id = given.filter(fit).map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let header = HeaderValue::from_str(&id);
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

/// One line a request: id, method, path, route, status, duration, and nothing else. Metrics likewise.
async fn access_log(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let method = request.method().clone();
    let route = route_of(&request);
    let row = row(&method, &route);
    // A ticket in a path opens a stream: it is not written down.
    let ticket = row.is_some_and(|row| row.access == Access::Node && row.pace == Pace::Stream);
    let path = if ticket { route.clone() } else { request.uri().path().to_owned() };
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    let duration_ms = took.as_secs_f64() * 1000.0;
    tracing::info!(target: "orch_server::access", request_id = id, %method, path, route, status, duration_ms);
    if route != "/metrics" {
        let labels =
            [("method", name_of(&method).to_owned()), ("route", route), ("status", status.to_string())];
        metrics::counter!("api_requests_total", &labels).increment(1);
        metrics::histogram!("api_request_duration_seconds", &labels).record(took.as_secs_f64());
    }
    response
}

async fn api_version(request: Request, next: Next) -> Response {
    let versioned = request.uri().path().starts_with("/v1/");
    let mut response = next.run(request).await;
    if versioned {
        response.headers_mut().insert("api-version", HeaderValue::from_static(API_VERSION));
    }
    response
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    ApiError::internal(&format_args!("a handler panicked: {}", text.unwrap_or("without words")))
        .into_response()
}

/// Cuts off what takes too long. Polls and streams keep their own time, and end when the server stops.
async fn pace(State(parts): State<Arc<AppParts>>, request: Request, next: Next) -> Response {
    let pace = row(request.method(), &route_of(&request)).map_or(Pace::Prompt, |row| row.pace);
    let stopping = || ApiError::unavailable("the server is stopping", None).into_response();
    if pace == Pace::Prompt {
        return match tokio::time::timeout(parts.limits.answer, next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::unavailable("the request took too long", None).into_response(),
        };
    }
    let response = tokio::select! {
        biased;
        response = next.run(request) => response,
        () = parts.stopping.cancelled() => return stopping(),
    };
    if pace == Pace::Poll {
        return response;
    }
    let end = parts.stopping.clone().cancelled_owned();
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(end)))
}

fn route_of(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned()
}

fn row(method: &Method, route: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.path == route && row.method.as_str() == method.as_str())
}

/// Methods as labels: what nobody serves must not make new series.
fn name_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
