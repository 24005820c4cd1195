//! From whatever went wrong to the error envelope.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use orch_core::agent::AgentApiError;
use orch_core::api::error::{ErrorBody, ErrorInfo, answer_to, status_of};
use orch_core::command::{ExecuteError, Rejection};
use orch_core::control_plane::history::EventsError;
use orch_core::control_plane::{ExecError, LogsError, StatsError};
use orch_core::identity::{AuthError, Denied};
use orch_core::store::StoreError;

use super::layers::RequestId;

/// An answer that is no success: status, code and words, and when to try again.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    info: Box<ErrorInfo>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, info: Box::new(ErrorInfo::new(code, message)), retry_after: None }
    }

    /// What broke goes to the log; the caller learns only that something did.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal server error")
    }

    pub(crate) fn unavailable(message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let retry_after = Some(retry_after.unwrap_or(Duration::from_secs(1)));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }
}

/// Leaves the body to [`envelope`], which knows the request's id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response.extensions_mut().insert(*self.info);
        response
    }
}

/// Puts every answer that is no success into the error envelope, those of the router included.
pub(crate) async fn envelope(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    let info = response.extensions_mut().remove::<ErrorInfo>();
    let Some(mut info) = info.or_else(|| of_router(status)) else { return response };
    info.request_id = request_id.map(|id| id.0).unwrap_or_default();
    let body = serde_json::to_vec(&ErrorBody { error: info }).expect("an error body is plain data");
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(http::header::CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, axum::body::Body::from(body))
}

/// What the router answers by itself, without one of our errors.
fn of_router(status: StatusCode) -> Option<ErrorInfo> {
    match status {
        StatusCode::NOT_FOUND => Some(ErrorInfo::new("not_found", "there is no such path")),
        StatusCode::METHOD_NOT_ALLOWED => {
            Some(ErrorInfo::new("method_not_allowed", "the path does not take this method"))
        }
        _ => None,
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let status = StatusCode::from_u16(status_of(&rejection)).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, info: Box::new((&rejection).into()), retry_after: None }
    }
}

impl From<ExecuteError> for ApiError {
    fn from(error: ExecuteError) -> Self {
        match &error {
            ExecuteError::Rejected(_) => {}
            ExecuteError::Unavailable { cause, .. } => tracing::warn!(%cause, "a command was not written"),
            ExecuteError::Uncertain(cause) => {
                tracing::error!(%cause, "it is not known whether a command was written");
            }
        }
        let (status, info, retry_after) = answer_to(&error);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, info: Box::new(info), retry_after }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unavailable(cause) => {
                tracing::warn!(%cause, "the authentication backend did not answer");
                Self::unavailable("the authentication backend is not available", None)
            }
            other => Self::unauthorized(other.to_string()),
        }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", denied.reason)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => {
                tracing::warn!(%cause, "the store could not be read");
                Self::unavailable("the store is not available", None)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<EventsError> for ApiError {
    fn from(error: EventsError) -> Self {
        let message = error.to_string();
        match error {
            EventsError::Gone { oldest } => {
                let mut gone = Self::new(StatusCode::GONE, "gone", message);
                let details = serde_json::json!({"oldest": oldest.to_string()});
                gone.info = Box::new((*gone.info).with(details));
                gone
            }
            EventsError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<ExecError> for ApiError {
    fn from(error: ExecError) -> Self {
        let message = error.to_string();
        match error {
            ExecError::Execute(error) => error.into(),
            ExecError::NodeUnreachable(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            ExecError::TooMany => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
            },
            _ => Self::unavailable(message, None),
        }
    }
}

impl From<LogsError> for ApiError {
    fn from(error: LogsError) -> Self {
        let message = error.to_string();
        match error {
            LogsError::NoTask(_) | LogsError::NoService(_) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", message)
            }
            LogsError::NoNode(_) | LogsError::NodeUnreachable(_) | LogsError::TooManyTasks => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
            }
            LogsError::TooMany => Self {
                retry_after: Some(Duration::from_secs(1)),
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
            },
            _ => Self::unavailable(message, None),
        }
    }
}

impl From<StatsError> for ApiError {
    fn from(error: StatsError) -> Self {
        let message = error.to_string();
        match error {
            StatsError::NoTask(_) | StatsError::NoService(_) => {
                Self::new(StatusCode::NOT_FOUND, "not_found", message)
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message),
        }
    }
}

impl From<AgentApiError> for ApiError {
    fn from(error: AgentApiError) -> Self {
        let message = error.to_string();
        let refused = |code| Self::new(StatusCode::UNAUTHORIZED, code, message.clone());
        match error {
            AgentApiError::Unavailable { retry_after, cause } => {
                tracing::debug!(%cause, "an agent was asked to try again");
                Self::unavailable("the control plane is not available", retry_after)
            }
            AgentApiError::CredentialExpired => refused("credential_expired"),
            AgentApiError::CredentialSuperseded => refused("credential_superseded"),
            AgentApiError::NodeReset => refused("node_reset"),
            AgentApiError::NodeRevoked => refused("node_revoked"),
            AgentApiError::NodeActive => Self::new(StatusCode::CONFLICT, "node_active", message),
            AgentApiError::Refused(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message),
            _ => refused("unauthorized"),
        }
    }
}
