//! A task's containers, sorted: the one that counts, the dead ones before it whose logs are kept, and the surplus.

use super::{Step, TaskMemory};
use crate::agent::DesiredTask;
use crate::runtime::{ContainerState, ObservedContainer};
use crate::task::Attempt;

/// What of a task is on the node.
pub(super) struct Containers<'a> {
    /// The attempt that counts.
    pub(super) current: Option<&'a ObservedContainer>,
    /// The newest dead ones before it, newest first: kept for their logs. A current one that is dead counts as one of them.
    pub(super) previous: Vec<&'a ObservedContainer>,
    /// All others, running ones included: to be stopped and removed.
    pub(super) surplus: Vec<&'a ObservedContainer>,
}

impl<'a> Containers<'a> {
    /// Sorts by what is remembered: which container is the attempt's own, and which attempt that is. Of dead ones `keep`
    /// stay, at least one.
    pub(super) fn sort(containers: &'a [ObservedContainer], memory: &TaskMemory, keep: usize) -> Self {
        let mut rest: Vec<_> = containers.iter().collect();
        rest.sort_by_key(|container| preference(container));
        let mut sorted = Self { current: None, previous: Vec::new(), surplus: Vec::new() };
        for container in rest.into_iter().rev() {
            let dead = matches!(container.state, ContainerState::Exited(_));
            if memory.container.as_ref() == Some(&container.id) {
                sorted.current = Some(container);
            } else if dead && container.labels.attempt < memory.attempt() {
                sorted.previous.push(container);
            } else {
                sorted.surplus.push(container);
            }
        }
        let current_is_dead =
            sorted.current.is_some_and(|current| matches!(current.state, ContainerState::Exited(_)));
        let keep = keep.max(1) - usize::from(current_is_dead);
        let beyond = sorted.previous.split_off(keep.min(sorted.previous.len()));
        sorted.surplus.extend(beyond);
        sorted
    }

    /// The newest attempt, from `known` on, that runs what the task should run.
    pub(super) fn newest_that_fits(
        containers: &'a [ObservedContainer],
        task: &DesiredTask,
        known: Attempt,
    ) -> Option<&'a ObservedContainer> {
        containers
            .iter()
            .filter(|container| {
                container.labels.digest == task.digest
                    && container.labels.version == task.version
                    && container.labels.attempt >= known
            })
            .max_by_key(|container| preference(container))
    }

    /// Removes what bears the name that the attempt's container is to bear.
    pub(super) fn in_the_way(&self, attempt: Attempt) -> Option<Step> {
        let other = self.surplus.iter().find(|container| container.labels.attempt == attempt)?;
        Some(Step::Remove { container: other.id.clone() })
    }

    /// Removes the first of the surplus; running ones are stopped first, elsewhere.
    pub(super) fn remove_surplus(&self) -> Option<Step> {
        self.surplus.first().map(|container| Step::Remove { container: container.id.clone() })
    }
}

/// Later attempts first; of one attempt the one that runs; the id ends it, so that equal views always sort the same way.
fn preference(container: &ObservedContainer) -> (Attempt, u8, &crate::runtime::ContainerId) {
    let state = match container.state {
        ContainerState::Running { .. } => 3,
        ContainerState::Created => 2,
        ContainerState::Exited(_) => 1,
        ContainerState::Dead => 0,
    };
    (container.labels.attempt, state, &container.id)
}
