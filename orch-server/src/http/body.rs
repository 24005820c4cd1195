//! Reading queries and bodies: bounded, strict, with the path of what is wrong; and writing answers.

use std::any::TypeId;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use orch_core::api::endpoint::{Endpoint, Nothing, Row};
use orch_core::api::strict;
use orch_core::command::{FieldPath, Rejection};

use super::error::ApiError;

/// The query of an endpoint. Names that it does not know are skipped, as the contract has it.
pub(crate) fn query<E: Endpoint>(uri: &Uri) -> Result<E::Query, ApiError> {
    axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(query)| query).map_err(|error| {
        Rejection::invalid(FieldPath::new("query"), error.body_text(), "documented values").into()
    })
}

/// The body of a request, at most `limit` bytes.
pub(crate) async fn read(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(request.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_argument",
            format!("the body is larger than {limit} bytes"),
        )),
        Err(_) => Err(Rejection::invalid(FieldPath::new("body"), "it broke off", "a whole body").into()),
    }
}

/// What an endpoint takes as its body; endpoints that take none do not look at what is there.
pub(crate) fn parse<E: Endpoint>(bytes: &[u8]) -> Result<E::Request, ApiError> {
    let bytes: &[u8] = if takes_a_body::<E>() { bytes } else { b"{}" };
    Ok(strict::read_json(bytes)?)
}

/// Whether an endpoint has something to read.
pub(crate) fn takes_a_body<E: Endpoint>() -> bool {
    TypeId::of::<E::Request>() != TypeId::of::<Nothing>()
}

/// A body that is made as it goes.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, std::io::Error>>;

/// An answer that goes on, which no proxy may keep or collect.
pub(crate) fn streamed(content_type: &'static str, body: Pieces) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// A successful answer of an endpoint: its body, with the status of its row.
pub(crate) struct Answer<E: Endpoint>(pub(crate) E::Response);

impl<E: Endpoint> IntoResponse for Answer<E> {
    fn into_response(self) -> Response {
        let status = status(&E::ROW);
        if TypeId::of::<E::Response>() == TypeId::of::<Nothing>() {
            return status.into_response();
        }
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(error) => ApiError::internal(&error).into_response(),
        }
    }
}

fn status(row: &Row) -> StatusCode {
    StatusCode::from_u16(row.status).unwrap_or(StatusCode::OK)
}
