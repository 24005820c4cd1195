//! A container runtime that notes when it was asked for what, how long that took, and when it told an end.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use orch_core::runtime::{
    ContainerChange, ContainerId, ContainerImages, ContainerLogs, ContainerRuntime, CreateRequest,
    ObservedContainer, Owner, PullProgress, RuntimeError, RuntimeEvent, RuntimeInfo,
};
use orch_core::service::{ImageDigest, ImageRef, StopPolicy};
use orch_core::time::Timestamp;

use crate::report::now;

/// One call that came to a good end, or an end of a container that was told (asked and answered at once).
#[derive(Clone)]
pub(crate) struct Noted {
    pub(crate) what: What,
    pub(crate) container: ContainerId,
    pub(crate) asked: Timestamp,
    pub(crate) answered: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Ended,
    Create,
    Start,
}

/// The runtime beneath, with a note of every create and start, and of every end that it tells.
pub(crate) struct Timed {
    inner: Arc<dyn ContainerRuntime>,
    notes: Arc<Notes>,
}

type Notes = Mutex<Vec<Noted>>;

impl Timed {
    pub(crate) fn new(inner: Arc<dyn ContainerRuntime>) -> Self {
        Self { inner, notes: Arc::default() }
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note(notes: &Notes, what: What, container: &ContainerId, asked: Timestamp) {
    let noted = Noted { what, container: container.clone(), asked, answered: now() };
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
}

#[async_trait]
impl ContainerRuntime for Timed {
    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        self.inner.info().await
    }

    async fn ensure_image(
        &self,
        image: &ImageRef,
        progress: PullProgress<'_>,
    ) -> Result<ImageDigest, RuntimeError> {
        self.inner.ensure_image(image, progress).await
    }

    async fn create(&self, request: CreateRequest<'_>) -> Result<ContainerId, RuntimeError> {
        let asked = now();
        let container = self.inner.create(request).await?;
        note(&self.notes, What::Create, &container, asked);
        Ok(container)
    }

    async fn start(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        let asked = now();
        self.inner.start(container).await?;
        note(&self.notes, What::Start, container, asked);
        Ok(())
    }

    async fn stop(&self, container: &ContainerId, policy: &StopPolicy) -> Result<(), RuntimeError> {
        self.inner.stop(container, policy).await
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), RuntimeError> {
        self.inner.remove(container).await
    }

    async fn list(&self, owner: &Owner) -> Result<Vec<ObservedContainer>, RuntimeError> {
        self.inner.list(owner).await
    }

    async fn inspect(&self, container: &ContainerId) -> Result<Option<ObservedContainer>, RuntimeError> {
        self.inner.inspect(container).await
    }

    fn images(&self) -> Option<&dyn ContainerImages> {
        self.inner.images()
    }

    fn logs(&self) -> Option<&dyn ContainerLogs> {
        self.inner.logs()
    }

    fn events(&self, owner: &Owner) -> BoxStream<'static, RuntimeEvent> {
        let notes = Arc::clone(&self.notes);
        let told = move |event: &RuntimeEvent| {
            if let RuntimeEvent::Changed(event) = event
                && matches!(event.change, ContainerChange::Ended(_))
            {
                note(&notes, What::Ended, &event.container, now());
            }
        };
        self.inner.events(owner).inspect(told).boxed()
    }
}
