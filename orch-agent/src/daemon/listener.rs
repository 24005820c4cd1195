//! The agent's own listener: is it alive, can it work, what did it count. Nothing that changes anything.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use orch_agent::AgentStatus;
use tokio::sync::watch;

#[derive(Clone)]
struct Sources {
    status: watch::Receiver<AgentStatus>,
    metrics: PrometheusHandle,
}

pub(crate) fn router(status: watch::Receiver<AgentStatus>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(async || axum::Json(serde_json::json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Sources { status, metrics })
}

async fn ready(State(sources): State<Sources>) -> impl IntoResponse {
    let status = sources.status.borrow().clone();
    if status.is_ready() {
        (StatusCode::OK, axum::Json(serde_json::json!({ "status": "ready" })))
    } else {
        let body = serde_json::json!({ "status": "not ready", "missing": status.missing() });
        (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body))
    }
}

async fn render(State(sources): State<Sources>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], sources.metrics.render())
}
