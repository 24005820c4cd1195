//! Start, stop, remove.

use std::time::Duration;

use docker_api::opts::{ContainerRemoveOpts, ContainerStopOpts};
use hyper::Method;
use orch_core::runtime::{ContainerId, RuntimeError};
use orch_core::service::StopPolicy;
use orch_core::task::FailureKind;

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;
use super::version::STOP_SIGNAL;

/// What a stop may take on top of its grace: the kill, and the engine's own work.
const AFTER_GRACE: Duration = Duration::from_secs(10);

impl DockerRuntime {
    pub(super) async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if !self.is_ours(id).await? {
            return Err(RuntimeError::Gone);
        }
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/containers/{id}/start"));
            unless(client.engine.exchange(Method::POST, &path, Payload::Empty).await.map(drop), &[304])
        };
        Ok(client.run("start", DEADLINE, call).await?)
    }

    pub(super) async fn stop_container(
        &self,
        id: &ContainerId,
        policy: &StopPolicy,
    ) -> Result<(), RuntimeError> {
        if !self.is_ours(id).await? {
            return Ok(());
        }
        let client = self.client();
        let call = async {
            let session = client.session().await?;
            // The engine counts whole seconds; a started one is given.
            let seconds = policy.grace.as_secs() + u64::from(policy.grace.subsec_nanos() > 0);
            let mut options = ContainerStopOpts::builder().wait(Duration::from_secs(seconds));
            // Older engines send the signal that the container was created with, which is the same.
            if let Some(signal) = policy.signal.as_deref().filter(|_| session.api >= STOP_SIGNAL) {
                options = options.signal(signal);
            }
            unless(session.container(&id.0).stop(&options.build()).await.map_err(Into::into), &[304, 404])
        };
        Ok(client.run("stop", policy.grace + AFTER_GRACE, call).await?)
    }

    /// Kills a container as someone else at the engine would, ours or not: for tests of what happens then.
    ///
    /// # Errors
    /// The engine cannot be reached, or the container does not run.
    #[cfg(feature = "testing")]
    pub async fn kill(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let client = self.client();
        let call = async {
            let path = client.session().await?.path(&format!("/containers/{id}/kill"));
            client.engine.exchange(Method::POST, &path, Payload::Empty).await.map(drop)
        };
        Ok(client.run("kill", DEADLINE, call).await?)
    }

    pub(super) async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        if !self.is_ours(id).await? {
            return Ok(());
        }
        let known = self.inner.ours.get(id);
        let client = self.client();
        let call = async {
            let options = ContainerRemoveOpts::builder().force(true).volumes(true).build();
            let removed = client.session().await?.container(&id.0).remove(&options).await;
            unless(removed.map(drop).map_err(Into::into), &[404])
        };
        client.run("remove", DEADLINE, call).await?;
        if let Some(known) = known {
            self.inner.secrets.remove(known.task, known.attempt).await;
        }
        self.inner.unfinished.remove(id);
        self.inner.ours.remove(id);
        Ok(())
    }

    /// Whether the container is there and bears our labels; only such ones are touched.
    ///
    /// # Errors
    /// It is there, and is not ours.
    pub(super) async fn is_ours(&self, id: &ContainerId) -> Result<bool, RuntimeError> {
        if self.inner.ours.get(id).is_some() {
            return Ok(true);
        }
        let Some(found) = self.look_at(&id.0).await? else { return Ok(false) };
        if found.labels.is_none() {
            let message = format!("container {id} does not bear orch's labels and is left alone");
            return Err(RuntimeError::permanent(FailureKind::Engine, message));
        }
        Ok(true)
    }
}

/// Takes these statuses for success: what was asked for is the case already.
fn unless(result: Result<(), EngineError>, fine: &[u16]) -> Result<(), EngineError> {
    match result {
        Err(error) if error.status().is_some_and(|status| fine.contains(&status)) => Ok(()),
        other => other,
    }
}
