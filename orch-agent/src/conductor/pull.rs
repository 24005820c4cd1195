//! One fetch of an image at a time, shared by all tasks that wait for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use orch_core::converge::StepFailure;
use orch_core::runtime::RuntimeError;
use orch_core::service::{ImageDigest, ImageOrigin, ImageRef, ResolvedImage};
use tokio::sync::Semaphore;

use crate::shared::Shared as Node;

type Outcome = Result<ResolvedImage, StepFailure>;

/// A pull that others may wait for as well. It goes on while anyone does.
pub(crate) type Pull = Shared<BoxFuture<'static, Outcome>>;

/// What is asked for: an image, or rather the one of that id, if it is there.
type Asked = (ImageRef, Option<ImageDigest>);

struct InFlight {
    pull: WeakShared<BoxFuture<'static, Outcome>>,
    progress: Arc<Mutex<Option<String>>>,
}

/// The pulls of a node.
pub(crate) struct Pulls {
    node: Arc<Node>,
    slots: Arc<Semaphore>,
    in_flight: Mutex<BTreeMap<Asked, InFlight>>,
}

impl Pulls {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let slots = Arc::new(Semaphore::new(node.config.pull_concurrency.max(1)));
        Self { node, slots, in_flight: Mutex::default() }
    }

    /// Joins the pull of an image, or begins one.
    pub(crate) fn pull(&self, image: &ImageRef, prefer: Option<&ImageDigest>) -> Pull {
        let asked = (image.clone(), prefer.cloned());
        let mut in_flight = self.in_flight();
        // A finished pull says how things were, not how they are: it is not joined.
        in_flight.retain(|_, other| other.pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
        if let Some(pull) = in_flight.get(&asked).and_then(|other| other.pull.upgrade()) {
            return pull;
        }
        let progress = Arc::new(Mutex::new(None));
        let (node, slots) = (Arc::clone(&self.node), Arc::clone(&self.slots));
        let pull = fetch(node, slots, asked.clone(), Arc::clone(&progress)).boxed().shared();
        if let Some(weak) = pull.downgrade() {
            in_flight.insert(asked, InFlight { pull: weak, progress });
        }
        pull
    }

    /// What a pull of the image's repository has come to, if the runtime said so.
    pub(crate) fn progress(&self, image: &ImageRef) -> Option<String> {
        let repository = image.repository();
        let in_flight = self.in_flight();
        let of = |(asked, _): &(&Asked, &InFlight)| asked.0.repository() == repository;
        let progress = in_flight.iter().find(of)?.1.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.clone()
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeMap<Asked, InFlight>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn fetch(
    node: Arc<Node>,
    slots: Arc<Semaphore>,
    (image, prefer): Asked,
    progress: Arc<Mutex<Option<String>>>,
) -> Outcome {
    let _slot = slots.acquire().await.expect("the semaphore is never closed");
    let say = |text: &str| {
        *progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    };
    resolve(&node, &image, prefer, &say).await.map_err(|error| StepFailure::from(&error))
}

async fn resolve(
    node: &Node,
    image: &ImageRef,
    prefer: Option<ImageDigest>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<ResolvedImage, RuntimeError> {
    let runtime = &node.runtime;
    let Some(images) = runtime.images() else {
        let id = runtime.ensure_image(image, say).await?;
        return Ok(ResolvedImage { id, origin: ImageOrigin::Local });
    };
    if let Some(id) = prefer
        && images.is_present(&id).await?
    {
        return Ok(ResolvedImage { id, origin: ImageOrigin::Local });
    }
    if images.find(image).await?.is_none() {
        let now = node.env.now();
        node.images.send_modify(|ledger| ledger.pulls(image, now));
    }
    let id = runtime.ensure_image(image, say).await.map_err(|error| exactly(image, error))?;
    let origin = images.origin(image, &id).await?;
    Ok(ResolvedImage { id, origin })
}

/// Says why no other bytes will do.
fn exactly(image: &ImageRef, error: RuntimeError) -> RuntimeError {
    match error {
        RuntimeError::Permanent { kind, message } if image.digest().is_some() => RuntimeError::Permanent {
            kind,
            message: format!("{message}; this version runs exactly that digest, and no other image will do"),
        },
        error => error,
    }
}
