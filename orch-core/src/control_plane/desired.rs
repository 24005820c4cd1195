//! What each node should run, and waking the polls of those nodes whose answer changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::agent::{DesiredSet, DesiredTask, DesiredVersion, Prepare};
use crate::cluster::index::is_desired_on_node;
use crate::cluster::{Change, Cluster, Key, Transaction};
use crate::id::{NodeId, TaskId};
use crate::service::ImageOrder;
use crate::task::{DesiredStatus, Task};

/// The version of what a node should run.
pub(super) fn version(cluster: &Cluster, node: NodeId) -> DesiredVersion {
    DesiredVersion { cluster: cluster.id(), revision: cluster.index().desired_revision(node) }
}

/// A task whose version of its service is not there: what it should run cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("the state has no template for task {0}")]
pub(super) struct NoTemplate(TaskId);

/// All that a node should run. Fails as a whole: an agent removes what is missing from the set.
pub(super) fn set(cluster: &Cluster, node: NodeId) -> Result<DesiredSet, NoTemplate> {
    let tasks = cluster.tasks_on_node(node).filter(|task| is_desired_on_node(task));
    let tasks = tasks.map(|task| wanted(cluster, task)).collect::<Result<_, _>>()?;
    Ok(DesiredSet { version: version(cluster, node), node, tasks, streams: Vec::new() })
}

fn wanted(cluster: &Cluster, task: &Task) -> Result<DesiredTask, NoTemplate> {
    let revision = cluster.revision_of(task).ok_or(NoTemplate(task.id))?;
    Ok(DesiredTask {
        id: task.id,
        namespace: task.namespace.clone(),
        service: task.service,
        service_name: revision.spec.name.clone(),
        slot: task.slot,
        version: task.version,
        digest: task.digest,
        desired: told(task),
        attempt: task.attempt,
        template: revision.spec.template.clone(),
        image: Some(ImageOrder::of(&revision.spec.template.image, revision.pin.as_ref())),
        prepare: prepare(cluster, task),
        ports: task.ports.clone(),
    })
}

/// The image that a task which still runs waits for.
fn prepare(cluster: &Cluster, task: &Task) -> Option<Prepare> {
    let asked = task.preparation.as_ref().filter(|_| task.is_active())?;
    let revision = cluster.service_revision(task.service, asked.version)?;
    let image = &revision.spec.template.image;
    Some(Prepare {
        version: asked.version,
        since: asked.since,
        image: image.clone(),
        order: ImageOrder::of(image, revision.pin.as_ref()),
    })
}

/// A task that came to its end by itself is as good as stopped: an agent that was started since remembers nothing of that end,
/// and would run it once more beside its successor.
const fn told(task: &Task) -> DesiredStatus {
    match task.desired {
        DesiredStatus::Running if task.status.is_terminal() => DesiredStatus::Stopped,
        desired => desired,
    }
}

/// The nodes whose polls have something new to see after `group`: their tasks, or their own standing.
pub(super) fn changed_nodes(before: &Cluster, after: &Cluster, group: &[Transaction]) -> BTreeSet<NodeId> {
    let mut nodes = BTreeSet::new();
    let mut tasks = BTreeSet::new();
    for change in group.iter().flat_map(|transaction| &transaction.changes) {
        match change {
            Change::Task(row) => tasks.extend(row.node),
            Change::Remove(Key::Task(id)) => tasks.extend(before.task(*id).and_then(|task| task.node)),
            Change::Node(row) => {
                nodes.insert(row.id);
            }
            Change::Remove(Key::Node(id) | Key::Credential(id)) => {
                nodes.insert(*id);
            }
            Change::ServiceRevision(row) => {
                tasks.extend(after.tasks_of_service(row.service).filter_map(|task| task.node));
            }
            _ => {}
        }
    }
    let revision = |cluster: &Cluster, node| cluster.index().desired_revision(node);
    nodes.extend(tasks.into_iter().filter(|node| revision(before, *node) != revision(after, *node)));
    nodes
}

/// One bell a node, so that a change wakes the polls that it concerns and no others.
#[derive(Default)]
pub(super) struct Bells(Mutex<BTreeMap<NodeId, Arc<Notify>>>);

impl Bells {
    /// The bell that a poll of `node` waits for.
    pub(super) fn of(&self, node: NodeId) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry(node).or_default())
    }

    pub(super) fn ring(&self, node: NodeId) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(&node) {
            bell.notify_waiters();
        }
    }

    /// Wakes everybody: the image was loaded anew.
    pub(super) fn ring_all(&self) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.values().for_each(|bell| bell.notify_waiters());
    }

    /// A node is gone: whoever still waits is woken, and learns it.
    pub(super) fn remove(&self, node: NodeId) {
        if let Some(bell) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&node) {
            bell.notify_waiters();
        }
    }
}
