//! Alive, ready, and how it is doing.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use orch_core::api::endpoint as ep;
use orch_core::api::version::Health;
use orch_core::control_plane::Health as Condition;

use super::super::App;
use super::super::body::Answer;
use super::super::error::ApiError;
use super::Reply;

pub(crate) async fn alive(State(app): State<App>) -> Reply<ep::Healthz> {
    Ok(Answer(Health { status: "ok".to_owned(), details: String::new(), time: app.control.now().into() }))
}

pub(crate) async fn ready(State(app): State<App>) -> Response {
    let details = match app.control.health() {
        Condition::Ready => {
            let health =
                Health { status: "ready".to_owned(), details: String::new(), time: app.control.now().into() };
            return Answer::<ep::Readyz>(health).into_response();
        }
        Condition::NotReady { reason } => reason,
        Condition::Fenced => "another server has the right to write".to_owned(),
        _ => "it was shut down".to_owned(),
    };
    ApiError::unavailable(details, None).into_response()
}

pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, ApiError> {
    let Some(render) = &app.inner.metrics else {
        let message = "this process keeps no metrics";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", message));
    };
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render()).into_response())
}
