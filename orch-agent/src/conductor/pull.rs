//! One fetch of an image at a time, shared by all tasks that wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use orch_core::converge::StepFailure;
use orch_core::runtime::ContainerRuntime;
use orch_core::service::{ImageDigest, ImageRef};
use tokio::sync::Semaphore;

type Outcome = Result<ImageDigest, StepFailure>;

/// A pull that others may wait for as well. It goes on while anyone does.
pub(crate) type Pull = Shared<BoxFuture<'static, Outcome>>;

struct InFlight {
    pull: WeakShared<BoxFuture<'static, Outcome>>,
    progress: Arc<Mutex<Option<String>>>,
}

/// The pulls of a node.
pub(crate) struct Pulls {
    runtime: Arc<dyn ContainerRuntime>,
    slots: Arc<Semaphore>,
    in_flight: Mutex<BTreeMap<ImageRef, InFlight>>,
}

impl Pulls {
    pub(crate) fn new(runtime: Arc<dyn ContainerRuntime>, concurrency: usize) -> Self {
        let slots = Arc::new(Semaphore::new(concurrency.max(1)));
        Self { runtime, slots, in_flight: Mutex::default() }
    }

    /// Joins the pull of an image, or begins one.
    pub(crate) fn pull(&self, image: &ImageRef) -> Pull {
        let mut in_flight = self.in_flight();
        // A finished pull says how things were, not how they are: it is not joined.
        in_flight.retain(|_, other| other.pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        if let Some(pull) = in_flight.get(image).and_then(|other| other.pull.upgrade()) {
            return pull;
        }
        let progress = Arc::new(Mutex::new(None));
        let pull =
            fetch(Arc::clone(&self.runtime), Arc::clone(&self.slots), image.clone(), Arc::clone(&progress))
                .boxed()
                .shared();
        if let Some(weak) = pull.downgrade() {
            in_flight.insert(image.clone(), InFlight { pull: weak, progress });
        }
        pull
    }

    /// What a pull has come to, if the runtime said so.
    pub(crate) fn progress(&self, image: &ImageRef) -> Option<String> {
        let in_flight = self.in_flight();
        let progress = in_flight.get(image)?.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.clone()
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeMap<ImageRef, InFlight>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(
    runtime: Arc<dyn ContainerRuntime>,
    slots: Arc<Semaphore>,
    image: ImageRef,
    progress: Arc<Mutex<Option<String>>>,
) -> Outcome {
    let _slot = slots.acquire().await.expect("the semaphore is never closed");
    let say = |text: &str| {
        *progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    };
    runtime.ensure_image(&image, &say).await.map_err(|error| StepFailure::from(&error))
}
