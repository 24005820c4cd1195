//! [`Step`]: what a runtime is asked next for a task, and how it went.

use std::fmt;
use std::time::Duration;

use crate::id::TaskId;
use crate::runtime::{ContainerId, RuntimeError};
use crate::service::{ImageDigest, ImageRef, ResolvedImage, StopPolicy};
use crate::task::{Attempt, FailureKind};

/// One thing to do. Each can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Have the image on the node.
    Pull {
        /// Which.
        image: ImageRef,
        /// What to take instead where an image of this id is there.
        prefer: Option<ImageDigest>,
    },
    /// Create the attempt's container.
    Create {
        /// Which attempt.
        attempt: Attempt,
        /// From which image.
        image: ImageDigest,
    },
    /// Start it.
    Start {
        /// Which container.
        container: ContainerId,
    },
    /// Stop it.
    Stop {
        /// Which container.
        container: ContainerId,
        /// How.
        policy: StopPolicy,
    },
    /// Remove it.
    Remove {
        /// Which container.
        container: ContainerId,
    },
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepDone {
    /// The image is there.
    Pulled(ResolvedImage),
    /// The container exists.
    Created(ContainerId),
    /// It was started.
    Started,
    /// It has exited.
    Stopped,
    /// It is gone.
    Removed,
}

/// Why a step did not come to what it should; [`RuntimeError`] as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepFailure {
    /// Nothing is known: the runtime cannot be reached.
    Unreachable {
        /// Why.
        message: String,
    },
    /// It was not answered in time; it may have been done all the same.
    NoAnswer {
        /// What was waited for, and how long.
        message: String,
    },
    /// It may work later.
    Retry {
        /// Why.
        message: String,
        /// When the other side asked to wait.
        after: Option<Duration>,
    },
    /// It never will.
    Permanent {
        /// Of which kind.
        kind: FailureKind,
        /// Why.
        message: String,
    },
    /// The container is gone.
    Gone,
}

impl From<&RuntimeError> for StepFailure {
    fn from(error: &RuntimeError) -> Self {
        match error {
            RuntimeError::Unreachable(cause) => Self::Unreachable { message: cause.to_string() },
            RuntimeError::NoAnswer { .. } => Self::NoAnswer { message: error.to_string() },
            RuntimeError::Retry { message, after } => Self::Retry { message: message.clone(), after: *after },
            RuntimeError::Permanent { kind, message } => {
                Self::Permanent { kind: *kind, message: message.clone() }
            }
            RuntimeError::Gone => Self::Gone,
        }
    }
}

/// The name of an attempt's container: the same for the same attempt, so that creating it twice finds the first.
#[must_use]
pub fn container_name(task: TaskId, attempt: Attempt) -> String {
    if attempt == Attempt::FIRST { format!("orch-{task}") } else { format!("orch-{task}-{attempt}") }
}

impl Step {
    /// Whether it leads to a running container, rather than to the end of one.
    #[must_use]
    pub const fn is_launch(&self) -> bool {
        matches!(self, Self::Pull { .. } | Self::Create { .. } | Self::Start { .. })
    }

    /// One word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pull { .. } => "pull",
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Remove { .. } => "remove",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull { image, .. } => write!(f, "pull {image}"),
            Self::Create { attempt, .. } => write!(f, "create attempt {attempt}"),
            Self::Start { container } => write!(f, "start {container}"),
            Self::Stop { container, .. } => write!(f, "stop {container}"),
            Self::Remove { container } => write!(f, "remove {container}"),
        }
    }
}
