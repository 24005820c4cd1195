//! Carrying a step out: what it needs, what it asks of the runtime, what it came to.

use std::sync::Arc;
use std::time::Duration;

use orch_core::agent::{AgentApiError, DesiredTask};
use orch_core::converge::{Step, StepDone, StepFailure, step::container_name};
use orch_core::id::TaskId;
use orch_core::runtime::{ContainerLabels, CreateRequest, Owner};
use orch_core::secret::ResolvedSecrets;
use orch_core::service::ImageDigest;
use orch_core::task::{Attempt, FailureKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::pull::Pulls;
use crate::retry::chain;
use crate::shared::{Shared, retry_after};

/// A place among those that are created and started at the same time; held from the creation to the end of the start.
pub(crate) type Launch = OwnedSemaphorePermit;

/// One step of one task, and what it needs.
pub(crate) struct Work {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pulls: Arc<Pulls>,
    pub(crate) launches: Arc<Semaphore>,
    pub(crate) owner: Owner,
    pub(crate) task: TaskId,
    /// What is wanted; `None` where only an end is put to what is there.
    pub(crate) desired: Option<Arc<DesiredTask>>,
    pub(crate) step: Step,
    pub(crate) launch: Option<Launch>,
    /// Cancelled where the step is no longer wanted. What waits is given up; what a runtime does is waited for.
    pub(crate) unwanted: CancellationToken,
}

/// What became of a step.
pub(crate) struct Worked {
    pub(crate) task: TaskId,
    pub(crate) step: Step,
    /// `None`: it was given up before anything was done.
    pub(crate) outcome: Option<Result<StepDone, StepFailure>>,
    pub(crate) launch: Option<Launch>,
}

impl Work {
    pub(crate) async fn run(mut self) -> Worked {
        let outcome = self.outcome().await;
        Worked { task: self.task, step: self.step, outcome, launch: self.launch }
    }

    async fn outcome(&mut self) -> Option<Result<StepDone, StepFailure>> {
        let shared = Arc::clone(&self.shared);
        let runtime = &shared.runtime;
        let done = match self.step.clone() {
            Step::Pull { image, prefer } => {
                let pull = self.pulls.pull(&image, prefer.as_ref());
                tokio::select! {
                    biased;
                    () = self.unwanted.cancelled() => return None,
                    pulled = pull => return Some(pulled.map(StepDone::Pulled)),
                }
            }
            Step::Create { attempt, image } => {
                if !self.admitted().await {
                    return None;
                }
                return Some(self.create(attempt, &image).await);
            }
            Step::Start { container } => {
                if !self.admitted().await {
                    return None;
                }
                shared.ask(Duration::ZERO, runtime.start(&container)).await.map(|()| StepDone::Started)
            }
            Step::Stop { container, policy } => {
                shared.ask(policy.grace, runtime.stop(&container, &policy)).await.map(|()| StepDone::Stopped)
            }
            Step::Remove { container } => {
                shared.ask(Duration::ZERO, runtime.remove(&container)).await.map(|()| StepDone::Removed)
            }
        };
        Some(done.map_err(|error| StepFailure::from(&error)))
    }

    /// Waits for a place among those that start at the same time. Answers whether the step is still wanted.
    async fn admitted(&mut self) -> bool {
        if self.launch.is_none() {
            tokio::select! {
                biased;
                () = self.unwanted.cancelled() => return false,
                place = Arc::clone(&self.launches).acquire_owned() => self.launch = place.ok(),
            }
        }
        true
    }

    async fn create(&self, attempt: Attempt, image: &ImageDigest) -> Result<StepDone, StepFailure> {
        let Some(task) = &self.desired else {
            let message = "the task is no longer wanted".to_owned();
            return Err(StepFailure::Retry { message, after: None });
        };
        let secrets = self.secrets(task).await?;
        let labels = ContainerLabels {
            cluster: self.owner.cluster,
            node: self.owner.node,
            service: task.service,
            task: task.id,
            attempt,
            version: task.version,
            digest: task.digest,
            restart: task.template.restart.clone(),
            stop: task.template.stop.clone(),
        };
        let name = container_name(task.id, attempt);
        let hostname = format!("{}-{}", task.service_name, task.slot);
        let request = CreateRequest::new(&name, &hostname, &labels, &task.template, image, &secrets)
            .in_namespace(&task.namespace)
            .with_ports(&task.ports);
        let created = self.shared.ask(Duration::ZERO, self.shared.runtime.create(request)).await;
        created.map(StepDone::Created).map_err(|error| StepFailure::from(&error))
    }

    /// The values that the task's spec refers to; they live as long as this call.
    async fn secrets(&self, task: &DesiredTask) -> Result<ResolvedSecrets, StepFailure> {
        if task.template.secrets.is_empty() {
            return Ok(ResolvedSecrets::default());
        }
        let session = self.shared.session.borrow().clone();
        let Some(session) = session else {
            let message = "the task's secrets cannot be had while the control plane is away".to_owned();
            return Err(StepFailure::Retry { message, after: None });
        };
        let authority = session.authority();
        let call = self.shared.api.secrets(&authority, task.id);
        self.shared.call(self.shared.config.call_timeout, call).await.map_err(|error| {
            session.judge(&error);
            match error {
                AgentApiError::Refused(message) => {
                    StepFailure::Permanent { kind: FailureKind::Secret, message }
                }
                error => StepFailure::Retry { message: chain(&error), after: retry_after(&error) },
            }
        })
    }
}
