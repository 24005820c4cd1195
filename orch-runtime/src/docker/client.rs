//! One engine: its session (the negotiated version), deadlines and metrics. Names `docker-api` together with the files
//! that use its calls.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use orch_core::runtime::{RuntimeError, RuntimeInfo};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::engine::{Engine, Payload};
use super::error::EngineError;
use super::socket::DockerSocket;
use super::version::{ApiVersion, OLDEST};

/// How long a call may take, unless it says otherwise.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// What was agreed with the engine that runs now. Holds until the engine is gone or refuses the version.
pub(super) struct Session {
    pub(super) api: ApiVersion,
    pub(super) docker: docker_api::Docker,
    engine_version: String,
}

impl Session {
    /// A path of the engine's API, for the raw half.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v{}{rest}", self.api)
    }

    pub(super) fn container(&self, id: &str) -> docker_api::Container {
        docker_api::Container::new(self.docker.clone(), id)
    }

    fn info(&self) -> RuntimeInfo {
        RuntimeInfo {
            kind: "docker",
            version: self.engine_version.clone(),
            api_version: Some(self.api.to_string()),
        }
    }
}

/// What `/version` answers, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EngineVersion {
    #[serde(default)]
    version: String,
    api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: Option<String>,
}

/// One engine.
pub(super) struct Client {
    socket: DockerSocket,
    pub(super) engine: Engine,
    session: Mutex<Option<Arc<Session>>>,
}

impl Client {
    pub(super) fn new(socket: DockerSocket) -> Self {
        let engine = Engine::new(socket.path().to_owned());
        Self { socket, engine, session: Mutex::new(None) }
    }

    pub(super) fn socket(&self) -> &DockerSocket {
        &self.socket
    }

    /// The session; negotiates first where there is none.
    pub(super) async fn session(&self) -> Result<Arc<Session>, EngineError> {
        if let Some(session) = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(session);
        }
        self.negotiate().await
    }

    /// Asks the engine anew which versions it speaks: after its restart it may be another one.
    pub(super) async fn renegotiate(&self) -> Result<RuntimeInfo, RuntimeError> {
        Ok(self.run("version", DEADLINE, self.negotiate()).await?.info())
    }

    async fn negotiate(&self) -> Result<Arc<Session>, EngineError> {
        // On the path without a version, which no engine refuses as too old or too new.
        let found: EngineVersion = self.engine.json(Method::GET, "/version", Payload::Empty).await?;
        let newest = found.api_version.as_deref();
        let api = ApiVersion::negotiate(newest, found.min_api_version.as_deref()).ok_or_else(|| {
            EngineError::TooOld(format!(
                "Docker Engine {} is too old: it speaks API {}, and orch needs {OLDEST} (Docker Engine 20.10)",
                found.version,
                newest.unwrap_or("of an unknown version"),
            ))
        })?;
        let spoken = docker_api::ApiVersion::new(api.major, Some(api.minor), None);
        let docker = docker_api::Docker::unix_versioned(self.socket.path(), spoken);
        let session = Arc::new(Session { api, docker, engine_version: found.version });
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.clone());
        tracing::debug!(engine = session.engine_version, api = %session.api, "docker engine found");
        Ok(session)
    }

    /// The engine may be another one by the next call.
    pub(super) fn end_session(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Runs one operation: under its deadline, counted, and with its trouble taken note of.
    pub(super) async fn run<T>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let start = Instant::now();
        let result = timeout(deadline, call).await.unwrap_or(Err(EngineError::Deadline(deadline)));
        metrics::counter!("docker_operations_total", "operation" => operation).increment(1);
        metrics::histogram!("docker_operation_duration_seconds", "operation" => operation)
            .record(start.elapsed().as_secs_f64());
        if let Err(error) = &result {
            metrics::counter!("docker_operation_errors_total", "operation" => operation).increment(1);
            if error.ends_session() {
                self.end_session();
            }
        }
        result
    }
}
