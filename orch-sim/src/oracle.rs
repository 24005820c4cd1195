//! What must hold: the invariants of the design, against the image, the engines and what the people were told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orch_core::cluster::{Change, Cluster, Committed, Revision, invariants};
use orch_core::control_plane::ControlPlane;
use orch_core::id::{NodeId, TaskId};
use orch_core::name::Namespace;
use orch_core::service::ServiceStatus;
use orch_core::task::{DesiredStatus, Health, Task, TaskStatus};
use orch_core::testing::runtime::Call;

use crate::apart::Watch;
use crate::coverage::Coverage;
use crate::disk::is_more_than_rotation;
use crate::disruption;
use crate::follower::Follower;
use crate::lives::Lives;
use crate::memory::{Known, SharedMemory, remember};
use crate::slots;
use crate::truth;
use crate::world::World;

/// How many transactions are kept to be told.
const KEPT: usize = 8;
/// How many images are looked at by what changed, before one is looked at whole.
const FULL_EVERY: u64 = 100;

/// Looks at every image once.
#[derive(Default)]
pub struct Oracle {
    last: Option<Arc<Cluster>>,
    follower: Option<(u64, Follower)>,
    lives: Lives,
    apart: Watch,
    seen: Option<Revision>,
    /// Images that were looked at.
    pub looked: u64,
    /// What was seen.
    pub coverage: Coverage,
    /// The last transactions that were more than the rotation of a credential.
    recent: VecDeque<Arc<Committed>>,
}

impl Oracle {
    /// Looks, if anything changed since.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look(&mut self, world: &World) -> Result<(), String> {
        if let Some(wrong) = world.ledger.wrong() {
            return Err(wrong);
        }
        let Some(control) = world.control() else {
            self.last = None;
            return Ok(());
        };
        let image = control.image();
        let started = self.follower.as_ref().is_none_or(|(boot, _)| *boot != world.boots);
        if !started && self.seen == Some(image.revision()) {
            return Ok(());
        }
        if let Some(seen) = self.seen.filter(|seen| image.revision() < *seen) {
            return Err(format!("1: the image went back from {seen} to {}", image.revision()));
        }
        if started {
            self.begin(&control, &image, world)?;
        }
        self.seen = Some(image.revision());
        self.looked += 1;
        let Some((_, follower)) = &mut self.follower else { return Ok(()) };
        let coverage = &mut self.coverage;
        let news = follower.follow(&image, |before, committed| {
            coverage.commit(before, committed)?;
            truth::check(before, committed, world)
        })?;
        for one in &news.committed {
            if is_more_than_rotation(&one.transaction) {
                self.recent.push_back(Arc::clone(one));
                if self.recent.len() > KEPT {
                    self.recent.pop_front();
                }
            }
        }
        if news.reloaded {
            self.lives.take_image(&image)?;
        }
        news.committed.iter().try_for_each(|one| self.lives.take(one, &world.ledger))?;
        if started || news.reloaded || self.looked.is_multiple_of(FULL_EVERY) {
            follower.compare(&image)?;
            invariants::check(&image).map_err(|broken| broken.join("; "))?;
        } else {
            invariants::check_rows(&image, &news.keys).map_err(|broken| broken.join("; "))?;
        }
        if let Some(before) = &self.last {
            disruption::check(before, &image)?;
            self.apart.check(world, &control, before)?;
        }
        one_node_a_task(world)?;
        self.last = Some(image);
        Ok(())
    }

    /// What was written last, one line a transaction.
    #[must_use]
    pub fn recently(&self) -> Vec<String> {
        let line = |one: &Arc<Committed>| {
            let keys: Vec<_> = one.transaction.changes.iter().map(Change::key).collect();
            let events: Vec<_> = one.transaction.events.iter().map(|event| event.message.as_str()).collect();
            format!("revision {}: {keys:?} {events:?}", one.revision)
        };
        self.recent.iter().map(line).collect()
    }

    /// A server came up. What was published before the crash must be what it loaded, with what was durable beyond it.
    fn begin(&mut self, control: &ControlPlane, image: &Cluster, world: &World) -> Result<(), String> {
        if let Some((_, before)) = &self.follower
            && before.image().revision() == image.revision()
        {
            before.compare(image).map_err(|_| "1: the server loaded another state than it had published")?;
        }
        self.lives.take_image(image)?;
        self.follower = Some((world.boots, Follower::new(control, world.planted)));
        Ok(())
    }
}

/// Wanted, running, and healthy where that is asked of it.
fn runs(image: &Cluster, task: &Task) -> bool {
    let checked = image.revision_of(task).is_some_and(|of| of.spec.template.health.is_some());
    task.desired == DesiredStatus::Running
        && match task.status {
            TaskStatus::Running(health) => health == Health::Healthy || !checked,
            _ => false,
        }
}

/// 4: no task has containers on two nodes.
fn one_node_a_task(world: &World) -> Result<(), String> {
    let mut homes: BTreeMap<TaskId, BTreeSet<NodeId>> = BTreeMap::new();
    for node in &world.nodes {
        for container in node.containers() {
            homes.entry(container.labels.task).or_default().insert(container.labels.node);
        }
    }
    match homes.iter().find(|(_, nodes)| nodes.len() > 1) {
        Some((task, nodes)) => Err(format!("4: {task} has containers on {} nodes", nodes.len())),
        None => Ok(()),
    }
}

/// 1: what the people were told is so.
///
/// # Errors
/// A write was acknowledged and lost.
pub fn nothing_acknowledged_is_lost(cluster: &Cluster, memory: &SharedMemory) -> Result<(), String> {
    remember(memory, |memory| {
        for (name, may) in memory.services() {
            let is = cluster
                .service_named(&Namespace::default_namespace(), name)
                .filter(|service| service.status == ServiceStatus::Active)
                .map_or(Known::Absent, |service| Known::Replicas(service.spec.replicas));
            if !may.contains(&is) {
                return Err(format!("1: `{name}` is {is:?}, and the people were told {may:?}"));
            }
        }
        Ok(())
    })
}

/// What runs beside us on the same engines is left alone.
///
/// # Errors
/// It was not.
pub fn others_are_let_be(world: &World) -> Result<(), String> {
    match world.nodes.iter().find(|node| !node.has_let_be()) {
        Some(node) => Err(format!("a container of another cluster on {} is gone", node.name)),
        None => Ok(()),
    }
}

/// 7: what still keeps the cluster from being as the specs say; `None` once it is.
#[must_use]
pub fn unconverged(world: &World) -> Option<String> {
    let control = world.control()?;
    let image = control.image();
    let (mut wanted, mut pending) = (BTreeSet::new(), BTreeSet::new());
    for service in image.services() {
        match service.status {
            ServiceStatus::Deleted => continue,
            ServiceStatus::Deleting => {
                return Some(format!("`{}` is still being deleted", service.spec.name));
            }
            ServiceStatus::Active => {}
        }
        if let Some(deployment) = image.active_deployment(service.id) {
            return Some(format!("`{}` is still {}", service.spec.name, deployment.status.as_str()));
        }
        let running: Vec<_> = image.tasks_of_service(service.id).filter(|task| runs(&image, task)).collect();
        let ended = slots::at_their_end(&image, service).len();
        let waiting: Vec<_> =
            image.tasks_of_service(service.id).filter(|task| slots::fits_nowhere(&image, task)).collect();
        // What one slot has too much goes on serving for those that fit nowhere: stopping it would take more away than may be.
        let served: BTreeSet<_> = running.iter().map(|task| task.slot).collect();
        let too_many = running.len() > served.len() && waiting.is_empty();
        if too_many || served.len() + ended + waiting.len() != service.spec.replicas as usize {
            return Some(format!(
                "`{}` has {} of {}, where {ended} are at their end and {} fit nowhere",
                service.spec.name,
                running.len(),
                service.spec.replicas,
                waiting.len(),
            ));
        }
        pending.extend(waiting.iter().map(|task| task.id));
        wanted.extend(running.iter().map(|task| task.id));
    }
    let leftover = image
        .tasks()
        .find(|task| !wanted.contains(&task.id) && !pending.contains(&task.id) && !is_at_its_end(task));
    if let Some(task) = leftover {
        return Some(format!("{} is {} and wanted {}", task.id, task.status.as_str(), task.desired.as_str()));
    }
    let mut running = BTreeSet::new();
    for node in &world.nodes {
        for container in node.containers() {
            if !matches!(container.state, orch_core::runtime::ContainerState::Running { .. }) {
                continue;
            }
            if !running.insert(container.labels.task) {
                return Some(format!("{} has two containers that run", container.labels.task));
            }
        }
    }
    if let Some(task) = running.symmetric_difference(&wanted).next() {
        let word = if wanted.contains(task) { "does not run, and should" } else { "runs, and should not" };
        return Some(format!("{task} {word}"));
    }
    None
}

fn is_at_its_end(task: &Task) -> bool {
    matches!(task.status, TaskStatus::Stopped(_) | TaskStatus::Failed(_) | TaskStatus::Removed)
}

/// Nothing was written and no engine was asked for anything, but that tasks which ended long ago went with their containers.
///
/// # Errors
/// What was done.
pub fn is_quiet(
    world: &World,
    image: &Cluster,
    writes: u64,
    calls: &BTreeMap<(usize, Call), usize>,
) -> Result<(), String> {
    let now = world.control().ok_or("the server is not up")?.image();
    let more = world.disk.writes() - writes;
    if more > 0 {
        return Err(format!("7: not quiet: {more} writes"));
    }
    let mut outlived = image.tasks().filter(|task| now.task(task.id).is_none()).count();
    for ((node, call), count) in world.container_calls() {
        let more = count - calls.get(&(node, call)).copied().unwrap_or_default();
        if call == Call::Remove && more <= outlived {
            outlived -= more;
        } else if more > 0 {
            return Err(format!("7: not quiet: {more} × {call:?} on node-{node}"));
        }
    }
    Ok(())
}
