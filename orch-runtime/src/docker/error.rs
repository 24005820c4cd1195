//! What goes wrong between us and the engine, and what the agent is told of it.

use std::time::Duration;

use orch_core::BoxError;
use orch_core::runtime::RuntimeError;
use orch_core::task::FailureKind;

/// What goes wrong between us and the engine.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// No connection, or it broke.
    #[error("the engine cannot be reached")]
    Transport(#[source] BoxError),
    /// No answer in time.
    #[error("the engine did not answer within {} s", .0.as_secs())]
    Deadline(Duration),
    /// The engine said no.
    #[error("{message} (status {status})")]
    Answer { status: u16, message: String },
    /// The engine said something that is not understood.
    #[error("the engine's answer is not understood: {0}")]
    Unexpected(BoxError),
    /// The engine is older than what is supported.
    #[error("{0}")]
    TooOld(String),
}

impl EngineError {
    pub(super) fn transport(cause: impl Into<BoxError>) -> Self {
        Self::Transport(cause.into())
    }

    pub(super) fn unexpected(cause: impl Into<BoxError>) -> Self {
        Self::Unexpected(cause.into())
    }

    /// The status of the engine's refusal, if it is one.
    pub(super) const fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the API version must be asked for again before the next call.
    pub(super) fn ends_session(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Answer { status: 400, message } => message.contains("client version"),
            _ => false,
        }
    }
}

impl From<docker_api::Error> for EngineError {
    fn from(error: docker_api::Error) -> Self {
        use docker_api::Error as Outer;
        use docker_api::conn::Error as Inner;
        match error {
            Outer::Fault { code, message } | Outer::Error(Inner::Fault { code, message }) => {
                Self::Answer { status: code.as_u16(), message }
            }
            Outer::SerdeJsonError(e) | Outer::Error(Inner::SerdeJsonError(e)) => Self::unexpected(e),
            Outer::InvalidResponse(text) => Self::unexpected(text),
            other => Self::transport(other),
        }
    }
}

/// For every call on a container or an image that already exists: 404 is gone, other refusals are final, faults pass.
impl From<EngineError> for RuntimeError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Transport(cause) => Self::Unreachable(cause),
            EngineError::Deadline(within) => Self::NoAnswer { within },
            EngineError::TooOld(message) => Self::permanent(FailureKind::Engine, message),
            EngineError::Unexpected(_) => Self::Retry { message: error.to_string(), after: None },
            EngineError::Answer { status: 404, .. } => Self::Gone,
            EngineError::Answer { message, .. } if is_port_clash(&message) => port_clash(&message),
            EngineError::Answer { status: 409 | 429 | 500.., message } => {
                Self::Retry { message, after: None }
            }
            EngineError::Answer { message, .. } => Self::permanent(FailureKind::Engine, message),
        }
    }
}

/// Whether the engine complains that a host port is taken, by another container or by a process of the node.
pub(super) fn is_port_clash(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("port is already allocated")
        || message.contains("address already in use")
        || message.contains("ports are not available")
}

/// The failure of a task whose host port is taken.
pub(super) fn port_clash(message: &str) -> RuntimeError {
    RuntimeError::permanent(FailureKind::Port, format!("port allocation failed: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, message: &str) -> RuntimeError {
        EngineError::Answer { status, message: message.to_owned() }.into()
    }

    #[test]
    fn refusals_are_sorted_by_what_the_agent_does_next() {
        assert!(matches!(answer(404, "No such container: x"), RuntimeError::Gone));
        assert!(matches!(answer(500, "overloaded"), RuntimeError::Retry { .. }));
        assert!(matches!(answer(503, ""), RuntimeError::Retry { .. }));
        assert!(matches!(
            answer(400, "OCI runtime create failed"),
            RuntimeError::Permanent { kind: FailureKind::Engine, .. }
        ));
        assert!(matches!(
            EngineError::Deadline(Duration::from_secs(30)).into(),
            RuntimeError::NoAnswer { .. }
        ));
    }

    #[test]
    fn a_taken_port_is_told_from_other_failures_of_start() {
        for text in [
            "driver failed programming external connectivity on endpoint web: Bind for 0.0.0.0:80 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
        ] {
            let RuntimeError::Permanent { kind: FailureKind::Port, message } = answer(500, text) else {
                panic!("{text}")
            };
            assert!(message.starts_with("port allocation failed:"), "{message}");
        }
    }
}
