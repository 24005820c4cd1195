//! What the engine's client crates may say in logs.

use tracing::{Level, Metadata};

/// Below `info` these print whole requests and answers, environment variables included.
const TALKATIVE: [&str; 2] = ["docker_api", "containers_api"];

/// Whether a line may be logged, whatever level is asked for. A subscriber of a process that uses [`DockerRuntime`] should
/// have this among its filters.
///
/// [`DockerRuntime`]: super::DockerRuntime
#[must_use]
pub fn may_be_logged(line: &Metadata<'_>) -> bool {
    *line.level() <= Level::INFO || !TALKATIVE.iter().any(|target| line.target().starts_with(target))
}
