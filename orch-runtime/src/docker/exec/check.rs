//! Commands of health checks, by the engine's exec calls.
//!
//! The engine cannot end a command that it started. One that is not done in time is left alone, and no other is started in
//! its container until it ended: a check that hangs costs one process, however long it hangs (M52).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::Method;
use orch_core::runtime::{CheckResult, ContainerChecks, ContainerId, RuntimeError};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::DockerRuntime;
use super::super::client::DEADLINE;
use super::super::engine::Payload;
use super::super::error::EngineError;
use super::super::logs::Frames;
use super::{Wanted, start_body};

/// How much of what a command writes is kept for people.
const OUTPUT_SHOWN: usize = 200;
/// How often the engine is asked for the exit code of a command whose output has ended.
const GLANCE: Duration = Duration::from_millis(20);

/// Commands that were not done in time, by their container.
#[derive(Default)]
pub(in super::super) struct Unfinished(Mutex<HashMap<ContainerId, String>>);

impl Unfinished {
    fn get(&self, container: &ContainerId) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(container).cloned()
    }

    fn insert(&self, container: &ContainerId, exec: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(container.clone(), exec);
    }

    pub(in super::super) fn remove(&self, container: &ContainerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
    }
}

#[async_trait]
impl ContainerChecks for DockerRuntime {
    async fn check(
        &self,
        container: &ContainerId,
        command: &[String],
        timeout: Duration,
    ) -> Result<CheckResult, RuntimeError> {
        if !self.is_ours(container).await? {
            return Err(RuntimeError::Gone);
        }
        if let Some(before) = self.inner.unfinished.get(container) {
            match self.command_state(&before).await {
                Ok(state) if state.running => return Ok(CheckResult::StillRunning),
                Ok(_) => {}
                Err(error) if error.status() == Some(404) => {}
                Err(error) => return Err(error.into()),
            }
            self.inner.unfinished.remove(container);
        }
        let exec = match self.make_command(container, &Wanted::new(command, false, false)).await {
            Ok(made) => made,
            Err(error) if matches!(error.status(), Some(404 | 409)) => return Err(RuntimeError::Gone),
            Err(error) => return Err(error.into()),
        };
        let end = Instant::now() + timeout;
        // Noted before it is started: should this future be dropped, the command may run on.
        self.inner.unfinished.insert(container, exec.clone());
        let result = match timeout_at(end, self.run_command(&exec)).await {
            Ok(result) => result,
            Err(_) => return Ok(CheckResult::TimedOut),
        };
        match result {
            Ok(result) => {
                self.inner.unfinished.remove(container);
                Ok(result)
            }
            // What the engine cannot start is the command's fault: there is no such program in the image.
            Err(EngineError::Answer { status: 400, message }) => {
                self.inner.unfinished.remove(container);
                Ok(CheckResult::Exited { code: 127, output: message })
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl DockerRuntime {
    /// Starts a command and waits for its end, however long that takes.
    async fn run_command(&self, exec: &str) -> Result<CheckResult, EngineError> {
        let client = self.client();
        let start = async {
            let path = client.session().await?.path(&format!("/exec/{exec}/start"));
            client.engine.send(Method::POST, &path, Payload::Json(start_body(false))).await
        };
        let answer = client.run("exec", DEADLINE, start).await?;
        let (mut body, mut frames) = (answer.into_body().into_data_stream(), Frames::default());
        let mut output = Vec::new();
        while let Some(bytes) = body.next().await {
            frames.push(&bytes.map_err(EngineError::transport)?);
            while let Some(chunk) = frames.next()? {
                let room = OUTPUT_SHOWN.saturating_sub(output.len());
                output.extend_from_slice(&chunk.bytes[..room.min(chunk.bytes.len())]);
            }
        }
        loop {
            if let Some(code) = self.command_state(exec).await?.ended() {
                let output = String::from_utf8_lossy(&output).into_owned();
                return Ok(CheckResult::Exited { code, output });
            }
            sleep(GLANCE).await;
        }
    }
}
