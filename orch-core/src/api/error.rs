//! The error envelope, its codes, and the status that each comes with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::command::rejection::Unauthorized;
use crate::command::{ExecuteError, Rejection};

/// The body of every answer that is no success.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorInfo,
}

/// What went wrong. `code` is for programs, `message` for people.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// One of the contract's codes, or a later one.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The request's id, for the server's log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// More, by code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
}

impl ErrorInfo {
    /// Without request id and details.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), request_id: String::new(), details: None }
    }

    /// With details.
    #[must_use]
    pub fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }
}

/// The HTTP status of a rejection.
#[must_use]
pub const fn status_of(rejection: &Rejection) -> u16 {
    match rejection {
        Rejection::NotFound { .. } => 404,
        Rejection::Invalid { .. } | Rejection::WrongState(_) | Rejection::Admission { .. } => 400,
        Rejection::Conflict(_)
        | Rejection::RevisionMoved { .. }
        | Rejection::KeyReused
        | Rejection::AlreadyDone
        | Rejection::Unauthorized(Unauthorized::NodeActive) => 409,
        Rejection::Unauthorized(_) => 401,
        Rejection::Forbidden(_) => 403,
    }
}

impl From<&Rejection> for ErrorInfo {
    fn from(rejection: &Rejection) -> Self {
        let info = Self::new(rejection.code(), rejection.to_string());
        match rejection {
            Rejection::Invalid { field, expected, .. } => {
                info.with(json!({ "field": field.as_str(), "expected": expected }))
            }
            Rejection::RevisionMoved { expected, actual, .. } => {
                info.with(json!({ "expected_revision": expected.0, "revision": actual.0 }))
            }
            Rejection::Admission { operation, namespace, violations } => {
                let violations: Vec<Value> = violations
                    .iter()
                    .map(|v| json!({ "field": v.field.as_str(), "rule": v.rule, "message": v.message }))
                    .collect();
                info.with(json!({ "operation": operation, "namespace": namespace, "violations": violations }))
            }
            _ => info,
        }
    }
}

/// Status, body and the wait before the next try, of a command that was not carried out, as far as is known.
#[must_use]
pub fn answer_to(error: &ExecuteError) -> (u16, ErrorInfo, Option<std::time::Duration>) {
    match error {
        ExecuteError::Rejected(rejection) => (status_of(rejection), rejection.into(), None),
        ExecuteError::Unavailable { retry_after, cause } => {
            let message = format!("nothing was written: {cause}; try again");
            (503, ErrorInfo::new("unavailable", message), Some(*retry_after))
        }
        // Not 503: that would invite a blind repetition of what may have been written.
        ExecuteError::Uncertain(_) => (
            500,
            ErrorInfo::new("uncertain", "it is not known whether this was written; look before repeating it"),
            None,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::FieldPath;

    #[test]
    fn a_wrong_field_is_named_for_programs_too() {
        let rejection = Rejection::invalid(FieldPath::new("spec").field("image"), "it is empty", "an image");
        let info = ErrorInfo::from(&rejection);
        assert_eq!((status_of(&rejection), info.code.as_str()), (400, "invalid_argument"));
        assert_eq!(info.details.unwrap()["field"], "spec.image");
        let body = ErrorBody { error: ErrorInfo::new("not_found", "x") };
        assert_eq!(serde_json::to_string(&body).unwrap(), r#"{"error":{"code":"not_found","message":"x"}}"#);
    }
}
