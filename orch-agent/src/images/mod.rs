//! Clean-up of images by watermark (M48): when the engine's disk runs full, images that orch pulled and nobody needs go, the
//! longest unused first, until there is room. Images that someone else put there are never touched.

mod ledger;

use std::collections::BTreeSet;
use std::time::Duration;

use orch_core::agent::DesiredSet;
use orch_core::env::EnvExt as _;
use orch_core::runtime::{ContainerImages, RuntimeError};
use orch_core::service::{ImageDigest, ImageOrder, ImageRef};

pub use ledger::{Ledger, Needed, Pulled};

use crate::retry::Retry;
use crate::shared::Shared;

/// The disk is looked at this often, at least.
const LOOK: Duration = Duration::from_secs(5 * 60);

/// When images go.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageCleanup {
    /// Images go once the file system of the engine's data is this full, in percent, 1 to 100.
    pub high_percent: u8,
    /// They go until it is this full, in percent; below `high_percent`.
    pub low_percent: u8,
    /// Only images that nobody needed for this long.
    pub min_age: Duration,
    /// Images go as well once those that orch pulled have more bytes than this: for engines whose file system cannot be seen.
    pub budget_bytes: Option<u64>,
}

impl Default for ImageCleanup {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 75, min_age: Duration::from_secs(600), budget_bytes: None }
    }
}

/// Looks for ever, if the agent is to and the runtime can.
pub(crate) async fn run(shared: &Shared) {
    let (Some(rules), Some(images)) = (&shared.config.image_cleanup, shared.runtime.images()) else { return };
    let mut retry = Retry::new("cleaning up images");
    loop {
        shared.env.sleep(rules.min_age.clamp(Duration::from_secs(1), LOOK)).await;
        match (Cleaner { shared, rules, images }).clean().await {
            Ok(()) => retry.worked(),
            Err(error) => {
                retry.failed(&shared.env, &error, None);
            }
        }
        metrics::counter!("image_cleanup_looks_total").increment(1);
    }
}

struct Cleaner<'a> {
    shared: &'a Shared,
    rules: &'a ImageCleanup,
    images: &'a dyn ContainerImages,
}

/// How full something is, and when that is too much and little enough.
struct Fill {
    used: u64,
    of: u64,
    high_percent: u64,
    low_percent: u64,
}

impl Fill {
    fn is_over(&self, percent: u64) -> bool {
        u128::from(self.used) * 100 > u128::from(self.of) * u128::from(percent)
    }
}

impl Cleaner<'_> {
    async fn clean(&self) -> Result<(), RuntimeError> {
        let in_use = self.images.in_use().await?;
        let needed = self.needed(in_use);
        let now = self.shared.env.now();
        self.shared.images.send_if_modified(|ledger| {
            ledger.touch(&needed, now);
            false // the next pull has it kept
        });
        let before = self.fills().await?;
        if !before.iter().any(|fill| fill.is_over(fill.high_percent)) {
            return Ok(());
        }
        let candidates = self.shared.images.borrow().candidates(&needed, self.rules.min_age, now);
        let (mut gone, mut bytes) = (0_u64, 0);
        for (name, id) in candidates {
            if !self.fills().await?.iter().any(|fill| fill.is_over(fill.low_percent)) {
                break;
            }
            // A task may have come since, or someone else may have given the name to another image.
            if self.needed(BTreeSet::new()).names.contains(&name) {
                continue;
            }
            let found = self.images.find(&name).await?.filter(|found| found.id == id);
            if let Some(found) = found {
                match self.images.remove_image(&name).await {
                    Ok(()) => {}
                    Err(error @ RuntimeError::Unreachable(_)) => return Err(error),
                    Err(error) => {
                        tracing::debug!(image = %name, %error, "an image stays");
                        continue;
                    }
                }
                tracing::info!(image = %name, %id, bytes = found.size_bytes, "removed an image that nobody needs");
                metrics::counter!("images_removed_total").increment(1);
                metrics::counter!("images_removed_bytes_total").increment(found.size_bytes);
                gone += 1;
                bytes += found.size_bytes;
            }
            self.shared.images.send_modify(|ledger| ledger.forget(&name));
        }
        self.say(&before, gone, bytes).await
    }

    /// What came free is what the disk says; layers that images share are counted with each of them.
    async fn say(&self, before: &[Fill], gone: u64, bytes: u64) -> Result<(), RuntimeError> {
        let after = self.fills().await?;
        let freed = before.first().zip(after.first()).map_or(0, |(was, is)| was.used.saturating_sub(is.used));
        let full = after.iter().any(|fill| fill.is_over(fill.high_percent));
        if gone > 0 {
            tracing::info!(images = gone, bytes, freed, "cleaned up images");
        }
        if full {
            let why = "images that nobody needs are gone; what is left is needed, too young or not orch's";
            tracing::warn!(why, "there is still little room for images");
        }
        Ok(())
    }

    /// The disk, if it can be seen, and the budget, if there is one.
    async fn fills(&self) -> Result<Vec<Fill>, RuntimeError> {
        let (high, low) = (u64::from(self.rules.high_percent), u64::from(self.rules.low_percent));
        let mut fills = Vec::new();
        if let Some(disk) = self.images.disk().await? {
            let used = disk.total_bytes.saturating_sub(disk.available_bytes);
            metrics::gauge!("image_disk_used_percent")
                .set(used as f64 * 100.0 / disk.total_bytes.max(1) as f64);
            fills.push(Fill { used, of: disk.total_bytes, high_percent: high, low_percent: low });
        }
        if let Some(budget) = self.rules.budget_bytes {
            let names: Vec<ImageRef> = self.shared.images.borrow().names().cloned().collect();
            let mut sizes = std::collections::BTreeMap::new();
            for name in names {
                if let Some(found) = self.images.find(&name).await? {
                    sizes.insert(found.id, found.size_bytes);
                }
            }
            let low_percent = low * 100 / high.max(1);
            fills.push(Fill { used: sizes.values().sum(), of: budget, high_percent: 100, low_percent });
        }
        Ok(fills)
    }

    /// What must stay: `in_use`, and what the desired set names.
    fn needed(&self, in_use: BTreeSet<ImageDigest>) -> Needed {
        let mut needed = Needed { ids: in_use, ..Needed::default() };
        if let Some(desired) = &self.shared.goal.borrow().desired {
            name_all(desired, &mut needed);
        }
        needed
    }
}

fn name_all(desired: &DesiredSet, needed: &mut Needed) {
    for task in &desired.tasks {
        needed.services.insert(task.service);
        let next = task.prepare.as_ref().map(|prepare| (&prepare.image, Some(&prepare.order)));
        for (image, order) in std::iter::once((&task.template.image, task.image.as_ref())).chain(next) {
            needed.names.insert(image.clone());
            if let Some(pin) = order.and_then(ImageOrder::pin) {
                needed.names.insert(pin.reference(image));
                needed.ids.extend(pin.local_id().cloned());
            }
        }
    }
}
