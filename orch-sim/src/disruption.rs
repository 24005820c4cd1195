//! Invariants 3 and 5: what the control plane's own actions may take away, and how many tasks they may add.

use std::sync::Arc;
use std::time::Duration;

use orch_core::cluster::Cluster;
use orch_core::node::NodeStatus;
use orch_core::service::{Publish, Service, ServiceSpec, ServiceStatus};
use orch_core::task::{DesiredStatus, Health, StopCause, Task, TaskStatus};
use orch_core::time::Timestamp;

use crate::slots;

/// Holds the step from one image to the next against invariants 3 and 5.
///
/// # Errors
/// What the control plane did and may not.
pub fn check(before: &Cluster, after: &Cluster) -> Result<(), String> {
    for service in after.services().filter(|service| service.status == ServiceStatus::Active) {
        let Some(was) = before.service(service.id).filter(|was| was.status == ServiceStatus::Active) else {
            continue;
        };
        let step = Step::new(before, after, was, service);
        step.takes_no_more_than_allowed()?;
        step.adds_no_more_than_allowed()?;
    }
    Ok(())
}

fn is_replaced_stop_first(spec: &ServiceSpec) -> bool {
    spec.stateful || spec.template.ports.iter().any(|port| matches!(port.publish, Publish::Fixed(_)))
}

/// What happened to one service between two images.
struct Step<'a> {
    before: &'a Cluster,
    after: &'a Cluster,
    was: &'a Service,
    service: &'a Service,
    /// The shortest and the longest time for which a task without a check must run to count.
    min_healthy: (Duration, Duration),
    max_unavailable: u32,
    max_surge: u32,
}

impl<'a> Step<'a> {
    fn new(before: &'a Cluster, after: &'a Cluster, was: &'a Service, service: &'a Service) -> Self {
        let mut policies = vec![&was.spec.rollout, &service.spec.rollout];
        for cluster in [before, after] {
            policies.extend(cluster.active_deployment(service.id).map(|deployment| &deployment.policy));
        }
        // A group of transactions may hold a change of the policy, and decisions before and after it: the widest counts.
        let most = |of: fn(&orch_core::deployment::RolloutPolicy) -> u32| {
            policies.iter().map(|policy| of(policy)).max().unwrap_or_default()
        };
        // With neither surge nor a gap allowed nothing could ever be replaced: then one may be missing. The same holds where
        // the old task must go first, for its port or its state.
        let stop_first = [was, service].into_iter().any(|service| is_replaced_stop_first(&service.spec));
        let without_surge = stop_first || policies.iter().any(|policy| policy.max_surge == 0);
        Self {
            before,
            after,
            was,
            service,
            min_healthy: (
                policies.iter().map(|policy| policy.min_healthy).min().unwrap_or_default(),
                policies.iter().map(|policy| policy.min_healthy).max().unwrap_or_default(),
            ),
            max_unavailable: most(|policy| policy.max_unavailable).max(u32::from(without_surge)),
            max_surge: most(|policy| policy.max_surge),
        }
    }

    /// Whether a task served at `at`, by the product's promise: known to be healthy, or without a check and running for long
    /// enough, on a node that answers.
    fn served(&self, cluster: &Cluster, task: &Task, at: Timestamp) -> bool {
        self.served_for(cluster, task, at, self.min_healthy.0)
    }

    /// The same, by each policy that a decision in between may have gone by.
    fn served_for_sure(&self, cluster: &Cluster, task: &Task, at: Timestamp) -> bool {
        self.served_for(cluster, task, at, self.min_healthy.1)
    }

    fn served_for(&self, cluster: &Cluster, task: &Task, at: Timestamp, min_healthy: Duration) -> bool {
        let reached = task.node.and_then(|node| cluster.node(node)).is_some_and(|node| {
            // What runs on a node that is offline or revoked serves nobody for sure.
            matches!(node.status, NodeStatus::Ready | NodeStatus::Draining)
        });
        reached
            && match task.status {
                TaskStatus::Running(Health::Healthy) => true,
                TaskStatus::Running(Health::Unchecked) => {
                    let checked =
                        cluster.revision_of(task).is_some_and(|of| of.spec.template.health.is_some());
                    !checked && task.status_since + min_healthy <= at
                }
                _ => false,
            }
    }

    /// Tasks that served when we stopped them for a newer version or a drain. One that did not serve may go at any time.
    ///
    /// When that was is the row's `desired_since`: the image is published once the commit is durable, which is later.
    fn stopped_by_us(&self) -> Vec<(Arc<Task>, Timestamp, StopCause)> {
        let mut stopped = Vec::new();
        for task in self.before.tasks_of_service(self.service.id) {
            let Some(now) = self.after.task(task.id) else { continue };
            let (true, Some(cause)) =
                (task.is_active() && now.desired == DesiredStatus::Removed, now.stop_cause)
            else {
                continue;
            };
            let at = now.desired_since;
            // Were it not so in the image after, too, its agent or its node had their word in the same group.
            let served =
                self.served_for_sure(self.before, task, at) && self.served_for_sure(self.after, now, at);
            if served && matches!(cause, StopCause::Outdated | StopCause::Drained | StopCause::Moved) {
                stopped.push((Arc::clone(now), at, cause));
            }
        }
        stopped
    }

    fn takes_no_more_than_allowed(&self) -> Result<(), String> {
        let stopped = self.stopped_by_us();
        for (task, at, cause) in &stopped {
            let wanted = |task: &Task| task.desired == DesiredStatus::Running;
            let serve = self.after.tasks_of_service(self.service.id);
            let mut serve: Vec<_> =
                serve.filter(|other| wanted(other) && self.served(self.after, other, *at)).collect();
            // Where several decisions lie between the images, what was stopped later still served at this one.
            serve.extend(stopped.iter().filter(|(_, later, _)| later > at).map(|(task, ..)| task));
            // What failed, or whose node fell silent, in the same image is not our doing, and may not have been known yet.
            let lost = self.before.tasks_of_service(self.service.id).filter(|other| {
                let now = self.after.task(other.id);
                let lost = |now: &Arc<Task>| wanted(now) && !self.served(self.after, now, *at);
                let given_up = |now: &Arc<Task>| {
                    matches!(now.stop_cause, Some(StopCause::NodeLost | StopCause::Unhealthy))
                };
                wanted(other)
                    && self.served(self.before, other, *at)
                    && now.is_none_or(|now| lost(now) || given_up(now))
            });
            serve.extend(lost);
            // Stopped for its own replacement, which serves: as many replicas are served as before.
            if serve.iter().any(|other| other.slot == task.slot) {
                continue;
            }
            let name = &self.service.spec.name;
            if matches!(cause, StopCause::Drained | StopCause::Moved) && !self.service.spec.stateful {
                return Err(format!("5: {name}/{} was drained before its replacement served", task.slot));
            }
            // A group may hold a change of the replica count, and decisions before and after it: the lower counts.
            let ended = [(self.before, self.was), (self.after, self.service)]
                .map(|(cluster, service)| slots::finished(cluster, service).len());
            let replicas = self.was.spec.replicas.min(self.service.spec.replicas);
            let replicas = replicas.saturating_sub(u32::try_from(ended[0].max(ended[1])).unwrap_or(0));
            if serve.len() < replicas.saturating_sub(self.max_unavailable) as usize {
                return Err(format!(
                    "3: {name}/{} was stopped at {at}, which left {} of {replicas} (at most {} may be missing)",
                    task.slot,
                    serve.len(),
                    self.max_unavailable
                ));
            }
        }
        Ok(())
    }

    /// A second task of a slot is surge. A drain may always start one, or a service without surge could never be drained.
    fn adds_no_more_than_allowed(&self) -> Result<(), String> {
        let active = |cluster: &'a Cluster| {
            cluster.tasks_of_service(self.service.id).filter(|task| task.is_active()).collect::<Vec<_>>()
        };
        let tasks = active(self.after);
        let added = tasks.iter().any(|task| {
            self.before.task(task.id).is_none()
                && tasks.iter().any(|other| other.id != task.id && other.slot == task.slot)
        });
        let most = self.was.spec.replicas.max(self.service.spec.replicas) + self.max_surge.max(1);
        if added && tasks.len() > most as usize {
            let name = &self.service.spec.name;
            return Err(format!("3: `{name}` has {} tasks where {most} are the most", tasks.len()));
        }
        Ok(())
    }
}
