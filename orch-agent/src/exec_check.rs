//! Health checks by a command inside the container.

use std::sync::Arc;
use std::time::Duration;

use orch_core::converge::ProbeOutcome;
use orch_core::env::EnvExt as _;
use orch_core::runtime::{CheckResult, ContainerId};
use tokio::sync::Semaphore;

use crate::retry::chain;
use crate::shared::Shared;

/// Commands that run at the same time on one node: each is a process and several calls of the engine.
pub(crate) const CONCURRENT: usize = 4;
/// What the engine may take on top of the command's own time; then its place goes to another check.
const ENGINE_PATIENCE: Duration = Duration::from_secs(10);

/// Runs one check. That it could not be run says nothing of the container.
pub(crate) async fn run(
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    container: ContainerId,
    command: Vec<String>,
    timeout: Duration,
) -> ProbeOutcome {
    let asked = command.join(" ");
    let unknown = |why: &str| ProbeOutcome::Unknown(format!("`{asked}`: {why}"));
    let Some(checks) = shared.runtime.checks() else {
        return unknown("this node's runtime runs no commands in containers");
    };
    // Waiting for a place is not the container's fault, and so not part of its time.
    let Ok(_place) = places.acquire_owned().await else { return unknown("the agent stops") };
    let result = tokio::select! {
        biased;
        result = checks.check(&container, &command, timeout) => result,
        () = shared.env.sleep(timeout + ENGINE_PATIENCE) => return unknown("the engine did not answer in time"),
    };
    match result {
        Ok(CheckResult::Exited { code: 0, .. }) => ProbeOutcome::Success,
        Ok(CheckResult::Exited { code, output }) => {
            let output = output.trim();
            let said = if output.is_empty() { String::new() } else { format!(": {}", output.escape_debug()) };
            ProbeOutcome::Failure(format!("`{asked}`: exit code {code}{said}"))
        }
        Ok(CheckResult::TimedOut) => ProbeOutcome::Failure(format!("`{asked}`: not done within {timeout:?}")),
        Ok(CheckResult::StillRunning) => {
            ProbeOutcome::Failure(format!("`{asked}`: an earlier one is not done yet"))
        }
        Err(error) => unknown(&chain(&error)),
    }
}
