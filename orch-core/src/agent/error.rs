//! Why an agent's call failed, sorted by what the agent does next.

use std::time::Duration;

use crate::BoxError;

/// Sorted by what the agent does next.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum AgentApiError {
    /// Nobody answered, or the answer was that nothing can be done now: try again after a back-off.
    #[error("the control plane is not available")]
    Unavailable {
        /// When the other side asked to wait.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        cause: BoxError,
    },
    /// The credential's time is over: register again, and touch no container.
    #[error("the credential has expired")]
    CredentialExpired,
    /// A newer credential of ours was used already: this request came late. Go on with the newest.
    #[error("the credential was superseded")]
    CredentialSuperseded,
    /// The registration was reset: register again, and touch no container.
    #[error("the node must register again")]
    NodeReset,
    /// The identity is revoked for good: stop the containers.
    #[error("the node is revoked")]
    NodeRevoked,
    /// The credential or proof is not accepted: register again.
    #[error("not authorized")]
    Unauthorized,
    /// Another agent is active under this node's name: wait, and say so.
    #[error("another agent is active as this node")]
    NodeActive,
    /// The request itself is wrong, and will be however often it is sent.
    #[error("{0}")]
    Refused(String),
}
