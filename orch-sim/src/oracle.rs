//! What must hold: the invariants of the design, against the image, the engines and what the people were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orch_core::cluster::{Cluster, Revision, invariants};
use orch_core::id::{NodeId, TaskId};
use orch_core::name::Namespace;
use orch_core::service::ServiceStatus;
use orch_core::task::{DesiredStatus, Task, TaskStatus};

use crate::disruption;
use crate::workload::{Known, SharedMemory, remember};
use crate::world::World;

/// Looks at every image once.
#[derive(Default)]
pub struct Oracle {
    last: Option<Arc<Cluster>>,
    seen: Option<Revision>,
    /// Images that were looked at.
    pub looked: u64,
}

impl Oracle {
    /// Looks, if anything changed since.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look(&mut self, world: &World) -> Result<(), String> {
        let Some(control) = world.control() else {
            self.last = None;
            return Ok(());
        };
        let image = control.image();
        if self.seen == Some(image.revision()) {
            return Ok(());
        }
        if let Some(seen) = self.seen.filter(|seen| image.revision() < *seen) {
            return Err(format!("1: the image went back from {seen} to {}", image.revision()));
        }
        self.seen = Some(image.revision());
        self.looked += 1;
        invariants::check(&image).map_err(|broken| broken.join("; "))?;
        if let Some(before) = &self.last {
            disruption::check(before, &image)?;
        }
        one_node_a_task(world)?;
        self.last = Some(image);
        Ok(())
    }
}

fn runs(task: &Task) -> bool {
    task.desired == DesiredStatus::Running && task.status.is_running()
}

/// 4: no task's containers run on two nodes.
fn one_node_a_task(world: &World) -> Result<(), String> {
    let mut homes: BTreeMap<TaskId, BTreeSet<NodeId>> = BTreeMap::new();
    for node in &world.nodes {
        for container in node.engine.containers() {
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

/// 7: what still keeps the cluster from being as the specs say; `None` once it is.
#[must_use]
pub fn unconverged(world: &World) -> Option<String> {
    let control = world.control()?;
    let image = control.image();
    let mut wanted = BTreeSet::new();
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
        let running: Vec<_> = image.tasks_of_service(service.id).filter(|task| runs(task)).collect();
        if running.len() != service.spec.replicas as usize {
            return Some(format!(
                "`{}` has {} of {}",
                service.spec.name,
                running.len(),
                service.spec.replicas
            ));
        }
        wanted.extend(running.iter().map(|task| task.id));
    }
    let leftover = image.tasks().find(|task| !wanted.contains(&task.id) && !is_at_its_end(task));
    if let Some(task) = leftover {
        return Some(format!("{} is {} and wanted {}", task.id, task.status.as_str(), task.desired.as_str()));
    }
    let mut running = BTreeSet::new();
    for node in &world.nodes {
        for container in node.engine.containers() {
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
