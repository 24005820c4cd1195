//! Commands inside containers: the engine's calls for them. What users run is in `session.rs`, health checks in `check.rs`.

mod check;
mod session;

use hyper::Method;
use orch_core::runtime::ContainerId;
use serde::{Deserialize, Serialize};

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;

pub(super) use check::Unfinished;

/// A command as the engine is told of it. Its output is always wanted.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted<'a> {
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    tty: bool,
    cmd: &'a [String],
}

impl<'a> Wanted<'a> {
    fn new(cmd: &'a [String], stdin: bool, tty: bool) -> Self {
        Self { attach_stdin: stdin, attach_stdout: true, attach_stderr: true, tty, cmd }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

/// Where a command is.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    /// Noted a moment after the output has ended.
    exit_code: Option<i32>,
}

impl State {
    fn ended(&self) -> Option<i32> {
        self.exit_code.filter(|_| !self.running)
    }
}

/// The body that starts a command attached.
fn start_body(tty: bool) -> Vec<u8> {
    format!(r#"{{"Detach":false,"Tty":{tty}}}"#).into_bytes()
}

impl DockerRuntime {
    /// Tells the engine of a command, and answers the engine's name of it. It is not started yet.
    async fn make_command(
        &self,
        container: &ContainerId,
        wanted: &Wanted<'_>,
    ) -> Result<String, EngineError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/containers/{container}/exec"));
            let body = serde_json::to_vec(wanted).expect("a body is plain data");
            client.engine.json::<Made>(Method::POST, &path, Payload::Json(body)).await
        };
        Ok(client.run("exec", DEADLINE, call).await?.id)
    }

    async fn command_state(&self, command: &str) -> Result<State, EngineError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/exec/{command}/json"));
            client.engine.json(Method::GET, &path, Payload::Empty).await
        };
        client.run("exec_inspect", DEADLINE, call).await
    }
}
