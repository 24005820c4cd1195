//! Why a call failed, sorted by who can do something about it.

use std::fmt;
use std::time::Duration;

use orch_core::BoxError;
use serde::Deserialize;

/// The server's own words: the error envelope of the contract, and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// The code of the contract: `not_found`, `conflict`, …; `http_<status>` where a proxy answered without an envelope.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What the server's log calls this request.
    pub request_id: Option<String>,
    /// More, for programs; `Null` where there is none.
    pub details: serde_json::Value,
    /// When the server asked to wait before trying again.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Envelope {
    error: EnvelopeBody,
}

#[derive(Deserialize)]
struct EnvelopeBody {
    code: String,
    message: String,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    details: serde_json::Value,
}

impl ApiError {
    /// From an answer that is no success.
    pub(crate) fn from_answer(status: http::StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let retry_after = text("retry-after").and_then(|t| t.trim().parse().ok()).map(Duration::from_secs);
        let header_id = text("x-request-id").map(str::to_owned);
        match serde_json::from_slice::<Envelope>(body) {
            Ok(Envelope { error }) => Self {
                status: status.as_u16(),
                code: error.code,
                message: error.message,
                request_id: error.request_id.or(header_id),
                details: error.details,
                retry_after,
            },
            Err(_) => Self {
                status: status.as_u16(),
                code: format!("http_{}", status.as_u16()),
                message: plain_message(status, body),
                request_id: header_id,
                details: serde_json::Value::Null,
                retry_after,
            },
        }
    }

    /// Whether nothing was done and the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 429 | 502 | 503 | 504)
    }
}

/// The first line of a plain text answer, else the status's own words.
fn plain_message(status: http::StatusCode, body: &[u8]) -> String {
    let line = std::str::from_utf8(body).ok().and_then(|t| t.lines().next()).map_or("", str::trim);
    if line.is_empty() || line.starts_with('<') || line.starts_with('{') {
        status.canonical_reason().unwrap_or("the server answered with an unknown status").to_owned()
    } else {
        line.chars().take(200).collect()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}

/// Why a call failed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client was set up wrongly: mend the configuration.
    #[error("{setting}: {problem}")]
    Config {
        /// Which setting.
        setting: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The request cannot be built: mend the call.
    #[error("this request cannot be sent: {0}")]
    Request(String),
    /// The server answered, and the answer is no.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// No server could be reached.
    #[error("no answer from {server}")]
    Unreachable {
        /// The server tried last.
        server: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The connection broke after the request was sent: it is not known whether it was carried out.
    #[error("the connection to {server} broke before an answer came")]
    Broken {
        /// Which server.
        server: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// No answer in time: it is not known whether the request was carried out.
    #[error("no answer from {server} within {after:?}")]
    Timeout {
        /// Which server.
        server: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not what the contract says: the server is another version, or not orch.
    #[error("{server} gave an answer that is not orch's: {problem}")]
    Protocol {
        /// Which server.
        server: String,
        /// What is wrong.
        problem: String,
    },
}

impl From<ApiError> for ClientError {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl ClientError {
    /// The server's answer, if there was one.
    #[must_use]
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the server answered with this code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.api().is_some_and(|e| e.code == code)
    }

    /// The error and what caused it, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> ApiError {
        let mut headers = http::HeaderMap::new();
        headers.insert("retry-after", "3".parse().unwrap());
        headers.insert("x-request-id", "r-1".parse().unwrap());
        ApiError::from_answer(http::StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn the_envelope_is_read_whole() {
        let error = answer(
            409,
            r#"{"error":{"code":"conflict","message":"taken","request_id":"x","details":{"a":1}}}"#,
        );
        assert_eq!((error.status, error.code.as_str(), error.message.as_str()), (409, "conflict", "taken"));
        assert_eq!(error.request_id.as_deref(), Some("x"));
        assert_eq!(error.details["a"], 1);
        assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn what_a_proxy_says_is_still_an_error_with_a_request_id() {
        let error = answer(502, "<html>bad gateway</html>");
        assert_eq!((error.code.as_str(), error.message.as_str()), ("http_502", "Bad Gateway"));
        assert_eq!(error.request_id.as_deref(), Some("r-1"));
        assert!(error.is_transient());
        assert_eq!(answer(404, "404 page not found\n").message, "404 page not found");
    }
}
