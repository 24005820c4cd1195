//! Where a task is on its one-way road.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Attempt;
use crate::time::Timestamp;

/// What the control plane wants of a task. It only moves on: running → stopped → removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredStatus {
    /// Its container runs.
    Running,
    /// Its container is stopped.
    Stopped,
    /// Nothing of it is left on its node.
    Removed,
}

/// Where a task is, as its node last reported it.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// No node yet: nothing fits.
    Pending,
    /// A node has it; of this attempt nothing has been made yet.
    Assigned,
    /// The image is being fetched.
    Pulling,
    /// The container exists.
    Created,
    /// The container is being started.
    Starting,
    /// The container runs.
    Running(Health),
    /// The container is being stopped.
    Stopping,
    /// It ended as it should, and the agent does not start it again.
    Stopped(Option<Exit>),
    /// It ended as it should not, and the agent does not start it again.
    Failed(Failure),
    /// Nothing of it is left on its node.
    Removed,
}

/// What health checks say of a running container. `Unchecked` stays where there is no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ReportedHealth")]
pub enum Health {
    /// No check, or none has succeeded or failed often enough yet.
    Unchecked,
    /// It serves.
    Healthy,
    /// It runs but does not serve.
    Unhealthy,
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ReportedExit")]
pub struct Exit {
    /// The exit code, where there was one.
    #[serde(default)]
    pub code: Option<i32>,
    /// The kernel killed it for lack of memory: at its own limit, or, where it had none, because the node ran out.
    #[serde(default)]
    pub oom_killed: bool,
    /// It was killed for lack of memory, and had no limit of its own: it is the node's memory that ran out.
    #[serde(default)]
    pub oom_of_node: bool,
    /// We stopped it.
    #[serde(default)]
    pub by_us: bool,
    /// What the engine said went wrong.
    #[serde(default)]
    pub error: Option<String>,
    /// When it was started, as far as known.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default)]
    pub at: Timestamp,
}

impl Exit {
    /// Exit code 0 and no error.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.code == Some(0) && !self.oom_killed && self.error.is_none()
    }

    /// The signal that ended it, as shells and engines tell it: an exit code of 128 and the signal's number.
    #[must_use]
    pub const fn signal(&self) -> Option<&'static str> {
        let Some(code @ 129..=192) = self.code else { return None };
        Some(match code - 128 {
            1 => "SIGHUP",
            2 => "SIGINT",
            3 => "SIGQUIT",
            4 => "SIGILL",
            6 => "SIGABRT",
            7 => "SIGBUS",
            8 => "SIGFPE",
            9 => "SIGKILL",
            10 => "SIGUSR1",
            11 => "SIGSEGV",
            12 => "SIGUSR2",
            13 => "SIGPIPE",
            14 => "SIGALRM",
            15 => "SIGTERM",
            _ => "a signal",
        })
    }

    /// One phrase: `exit 1`, `killed by the engine: out of its own memory limit`, `exit 137 (SIGKILL), not by orch`, …
    #[must_use]
    pub fn describe(&self) -> String {
        if self.oom_killed {
            let whose =
                if self.oom_of_node { "the node ran out of memory" } else { "out of its own memory limit" };
            return format!("killed by the engine: {whose}");
        }
        let Some(code) = self.code else {
            let unknown = || "ended; the exit code is not known".to_owned();
            return self.error.clone().unwrap_or_else(unknown);
        };
        let signal = self.signal();
        let named = signal.map(|signal| format!(" ({signal})")).unwrap_or_default();
        // Others than we send these, too: an administrator, the node's own lack of memory, its shutdown.
        let sent = matches!(signal, Some("SIGKILL" | "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGHUP"));
        let by = match (self.by_us, sent) {
            (true, _) => ", stopped by orch",
            (false, true) => ", not by orch",
            (false, false) => "",
        };
        let error = self.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        format!("exit {code}{named}{by}{error}")
    }
}

/// Why a task is at its end in failure.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, for programs.
    pub kind: FailureKind,
    /// A sentence, for people.
    pub reason: String,
    /// How the container ended, where there was one.
    #[serde(default)]
    pub exit: Option<Exit>,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The container exited, and the restart policy ends here.
    Exited,
    /// The image cannot be had.
    Image,
    /// The engine refused to create or start the container.
    Engine,
    /// A host port is taken by someone else.
    Port,
    /// A secret could not be resolved.
    Secret,
    /// The agent's own policy forbids what the spec asks for.
    Forbidden,
    /// Health checks kept failing.
    Unhealthy,
    /// An agent of the existing implementation said so; its words are the reason.
    Other,
}

/// A report that would move a task back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from} cannot become {to}")]
pub struct Backwards {
    /// Where it is.
    pub from: &'static str,
    /// What was reported.
    pub to: &'static str,
}

impl TaskStatus {
    /// Whether the move is one of the road. Reports come late, twice and with gaps: a task may skip ahead but never go
    /// back; health alone may alternate. A later attempt begins the road anew, except past its end.
    ///
    /// # Errors
    /// The move would go back.
    pub fn check_advance(&self, at: Attempt, to: &Self, to_attempt: Attempt) -> Result<(), Backwards> {
        let back = Err(Backwards { from: self.as_str(), to: to.as_str() });
        if self.is_terminal() {
            return if self == to || self.rank() < to.rank() { Ok(()) } else { back };
        }
        match to_attempt.cmp(&at).then_with(|| to.rank().cmp(&self.rank())) {
            Ordering::Greater => Ok(()),
            Ordering::Equal if self == to || matches!(self, Self::Running(_)) => Ok(()),
            Ordering::Equal => back,
            // Once its removal is reported nothing of any attempt is left, so the end counts whatever attempt it names.
            Ordering::Less if to.is_terminal() && to.rank() > self.rank() => Ok(()),
            Ordering::Less => back,
        }
    }

    /// No wildcard arm, on purpose: a new status does not compile until it has a place on the road.
    const fn rank(&self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Assigned => 1,
            Self::Pulling => 2,
            Self::Created => 3,
            Self::Starting => 4,
            Self::Running(_) => 5,
            Self::Stopping => 6,
            Self::Stopped(_) | Self::Failed(_) => 7,
            Self::Removed => 8,
        }
    }

    /// At its end: stopped, failed or removed.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Stopped(_) | Self::Failed(_) | Self::Removed)
    }

    /// Its container runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Whether a container of it may be on its node, running or not.
    #[must_use]
    pub const fn has_container(&self) -> bool {
        match self {
            Self::Pending | Self::Assigned | Self::Pulling | Self::Removed => false,
            Self::Created
            | Self::Starting
            | Self::Running(_)
            | Self::Stopping
            | Self::Stopped(_)
            | Self::Failed(_) => true,
        }
    }

    /// The word of the contract: `running`, `healthy`, `unhealthy`, `failed`, …
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Assigned => "assigned",
            Self::Pulling => "pulling",
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running(Health::Unchecked) => "running",
            Self::Running(Health::Healthy) => "healthy",
            Self::Running(Health::Unhealthy) => "unhealthy",
            Self::Stopping => "stopping",
            Self::Stopped(_) => "stopped",
            Self::Failed(_) => "failed",
            Self::Removed => "removed",
        }
    }
}

impl DesiredStatus {
    /// The word of the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Removed => "removed",
        }
    }
}
