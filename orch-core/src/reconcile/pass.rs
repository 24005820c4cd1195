//! [`Pass`]: one look at a service, and the few things that a look can do.

use std::ops::Deref;
use std::sync::Arc;

use super::plan::{Held, HeldReason, Plan, Step};
use super::slots::{Availability, Place, Replica, Slots};
use crate::cluster::{Change, Cluster, Key};
use crate::command::Ctx;
use crate::deployment::{Deployment, DeploymentStatus, RolloutPolicy};
use crate::id::{NodeId, TaskId};
use crate::name::NodeName;
use crate::record::{EventKind, RelatedObject, Severity};
use crate::schedule::{Placement, Problem, Scheduler, Solution};
use crate::service::{ImagePin, Publish, Service, ServiceRevision, ServiceSpec, SpecDigest, Version};
use crate::task::{Attempt, DesiredStatus, Slot, StopCause, Task, TaskStatus};
use crate::time::Timestamp;

/// How many tasks one plan makes at most. What is left is done by the next look, at once.
pub(super) const NEW_TASKS_MAX: usize = 500;
/// How many rows one plan writes at most, give or take a few.
pub(super) const CHANGES_MAX: usize = 2_000;

/// How a task takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The new one first; the old one goes once the new one serves.
    StartFirst,
    /// The old one makes room: both want the same host port.
    StopFirst,
    /// The old one must be known to be at its end before the new one is made.
    OneOwner,
}

impl Handover {
    /// How the tasks of a spec take each other's place.
    #[must_use]
    pub fn of(spec: &ServiceSpec) -> Self {
        let fixed = || spec.template.ports.iter().any(|port| matches!(port.publish, Publish::Fixed(_)));
        match spec.stateful {
            true => Self::OneOwner,
            false if fixed() => Self::StopFirst,
            false => Self::StartFirst,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartFirst => "start_first",
            Self::StopFirst => "stop_first",
            Self::OneOwner => "one_owner",
        }
    }
}

/// A version that tasks are to be made of.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) version: Version,
    pub(super) digest: SpecDigest,
    spec: SpecSource,
}

#[derive(Clone, Debug)]
enum SpecSource {
    Service(Arc<Service>),
    Revision(Arc<ServiceRevision>),
}

impl Wanted {
    pub(super) fn spec(&self) -> &ServiceSpec {
        match &self.spec {
            SpecSource::Service(service) => &service.spec,
            SpecSource::Revision(revision) => &revision.spec,
        }
    }
}

/// One look at a service. What it does becomes true in `draft` and `slots` at once.
pub(super) struct Pass<'a, 'c> {
    pub(super) draft: Cluster,
    pub(super) service: Arc<Service>,
    /// The deployment that has not ended.
    pub(super) deployment: Option<Arc<Deployment>>,
    /// What the service should run now.
    pub(super) wanted: Wanted,
    pub(super) slots: Slots,
    pub(super) plan: Plan,
    /// Something was done for the deployment.
    pub(super) stepped: bool,
    pub(super) ctx: &'a mut Ctx<'c>,
    scheduler: &'a dyn Scheduler,
    created: usize,
}

impl<'a, 'c> Pass<'a, 'c> {
    pub(super) fn new(
        cluster: &Cluster,
        service: &Arc<Service>,
        scheduler: &'a dyn Scheduler,
        ctx: &'a mut Ctx<'c>,
    ) -> Self {
        let draft = cluster.clone();
        let service = Arc::clone(service);
        let wanted = wanted(&draft, &service);
        let plan = Plan { service: Some(service.spec.name.clone()), ..Plan::default() };
        let mut pass = Self {
            draft,
            service,
            deployment: None,
            wanted,
            slots: Slots::default(),
            plan,
            stepped: false,
            ctx,
            scheduler,
            created: 0,
        };
        pass.read();
        pass
    }

    /// Reads the draft anew, after the service or its deployment changed.
    pub(super) fn read(&mut self) {
        if let Some(service) = self.draft.service(self.service.id) {
            self.service = Arc::clone(service);
        }
        self.wanted = wanted(&self.draft, &self.service);
        self.deployment = self.draft.active_deployment(self.service.id).cloned();
        let min_healthy = self.policy().min_healthy;
        self.slots = Slots::of(&self.draft, &self.service, min_healthy, self.ctx);
    }

    pub(super) fn finish(mut self) -> Plan {
        let maturing = self.slots.active().filter_map(|replica| match replica.availability {
            Availability::From(at) => Some(at),
            Availability::Available | Availability::No => None,
        });
        if let Some(at) = maturing.min() {
            self.plan.look_again_by(at);
        }
        let moving = self.slots.active().filter_map(|replica| replica.task.moves_until);
        if let Some(at) = moving.filter(|at| *at > self.ctx.now).min() {
            self.plan.look_again_by(at);
        }
        if self.is_full() {
            self.plan.look_again_by(self.ctx.now);
        }
        self.plan
    }

    pub(super) const fn now(&self) -> Timestamp {
        self.ctx.now
    }

    pub(super) fn policy(&self) -> &RolloutPolicy {
        self.deployment.as_ref().map_or(&self.service.spec.rollout, |deployment| &deployment.policy)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| deployment.status == DeploymentStatus::Paused)
    }

    pub(super) fn handover(&self) -> Handover {
        Handover::of(&self.service.spec)
    }

    /// The slots that should have a task.
    pub(super) fn wanted_slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (1..=self.service.spec.replicas).map(Slot)
    }

    /// How many tasks should serve: slots that are finished need none.
    pub(super) fn replicas(&self) -> usize {
        (self.service.spec.replicas as usize).saturating_sub(self.slots.finished())
    }

    /// Whether a task runs what its slot should run now. A task of another version with the same digest does (M25); while the
    /// rollout is paused, every task does.
    pub(super) fn is_up_to_date(&self, task: &Task) -> bool {
        self.is_paused() || self.runs_target(task)
    }

    /// Whether a task runs what the service should run once its rollout is done; during a restart only if it was made since.
    pub(super) fn runs_target(&self, task: &Task) -> bool {
        let too_old =
            self.deployment.as_ref().is_some_and(|deployment| deployment.is_too_old(task.created_at));
        !too_old && (task.version == self.wanted.version || self.is_same_as_wanted(task))
    }

    /// Whether a task of another version runs what the wanted one would: the same template, and the same bytes (M32).
    fn is_same_as_wanted(&self, task: &Task) -> bool {
        task.digest == self.wanted.digest
            && ImagePin::may_be_same(self.pin_of(task.version), self.pin_of(self.wanted.version))
    }

    fn pin_of(&self, version: Version) -> Option<&ImagePin> {
        self.draft.service_revision(self.service.id, version)?.pin.as_ref()
    }

    /// Up to date, and not on a node that is being emptied: nothing takes its place.
    pub(super) fn is_good(&self, replica: &Replica) -> bool {
        self.is_up_to_date(&replica.task) && replica.place != Place::Leaving
    }

    /// Why a task goes that leaves its node.
    pub(super) fn leaves_for(&self, task: &Task) -> StopCause {
        let node = task.node.and_then(|node| self.draft.node(node));
        let drained = node.is_none_or(|node| node.status.is_draining());
        if drained { StopCause::Drained } else { StopCause::Moved }
    }

    /// Another version of the service, if it is kept.
    pub(super) fn version(&self, version: Version) -> Option<Wanted> {
        if version == self.wanted.version {
            return Some(self.wanted.clone());
        }
        let revision = self.draft.service_revision(self.service.id, version)?;
        Some(Wanted { version, digest: revision.digest, spec: SpecSource::Revision(Arc::clone(revision)) })
    }

    /// The spec that a task was made from.
    pub(super) fn spec_of(&self, task: &Task) -> impl Deref<Target = ServiceSpec> + use<> {
        struct Held(Wanted);
        impl Deref for Held {
            type Target = ServiceSpec;
            fn deref(&self) -> &ServiceSpec {
                self.0.spec()
            }
        }
        Held(self.version(task.version).unwrap_or_else(|| self.wanted.clone()))
    }

    /// Whether the plan is as large as a plan may be.
    pub(super) fn is_full(&self) -> bool {
        self.created >= NEW_TASKS_MAX || self.plan.transaction.changes.len() >= CHANGES_MAX
    }

    /// Whether a task may be made beside those made already.
    pub(super) fn room_for_tasks(&self) -> usize {
        if self.is_full() { 0 } else { NEW_TASKS_MAX - self.created }
    }

    pub(super) fn hold(&mut self, slot: Slot, reason: HeldReason) {
        self.plan.held.push(Held { slot: Some(slot), reason });
    }

    pub(super) fn solve(&self, wanted: &Wanted, count: usize, avoid: &[NodeId]) -> Solution {
        self.solve_in(&self.draft, wanted, count, avoid)
    }

    pub(super) fn solve_in(
        &self,
        cluster: &Cluster,
        wanted: &Wanted,
        count: usize,
        avoid: &[NodeId],
    ) -> Solution {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count == 0 {
            return Solution::default();
        }
        let service = self.service.id;
        self.scheduler.solve(&Problem { cluster, spec: wanted.spec(), service, count, avoid })
    }

    /// Writes a row.
    pub(super) fn put(&mut self, row: impl Into<Change>) {
        let change = row.into();
        self.draft.apply_change(&change);
        self.plan.transaction.changes.push(change);
    }

    /// Makes a task in a slot: on a node, or waiting for one.
    pub(super) fn create(
        &mut self,
        slot: Slot,
        wanted: &Wanted,
        found: Result<Placement, String>,
        failures_before: u32,
    ) {
        let now = self.now();
        let (node, ports, note) = match found {
            Ok(placement) => (Some(placement.node), placement.ports, None),
            Err(reason) => (None, Vec::new(), Some(reason)),
        };
        let task = Arc::new(Task {
            id: self.ctx.ids.next(),
            namespace: self.service.namespace.clone(),
            service: self.service.id,
            slot,
            version: wanted.version,
            digest: wanted.digest,
            node,
            requests: wanted.spec().template.requests,
            ports,
            desired: DesiredStatus::Running,
            desired_since: now,
            stop_cause: None,
            moves_until: None,
            failures_before,
            status: if node.is_some() { TaskStatus::Assigned } else { TaskStatus::Pending },
            status_since: now,
            attempt: Attempt::FIRST,
            container: None,
            image_digest: None,
            preparation: None,
            last_exit: None,
            note,
            created_at: now,
            updated_at: now,
            started_at: None,
            finished_at: None,
            reported: None,
        });
        self.created += 1;
        self.stepped |= self.runs_target(&task);
        let kind = if self.deployment.is_some() {
            EventKind::RolloutTaskCreated
        } else {
            EventKind::ReconcilerTaskCreated
        };
        self.event(kind, Severity::Info, task.id, format!("{} created", self.name(slot)));
        self.announce(&task);
        let place = if node.is_some() { Place::Here } else { Place::Nowhere };
        let replica = Replica { task: Arc::clone(&task), place, availability: Availability::No };
        self.slots.get_mut(slot).active.push(replica);
        self.put(Change::Task(task));
    }

    /// Gives a pending task its node.
    pub(super) fn assign(&mut self, slot: Slot, id: TaskId, placement: Placement) {
        let now = self.now();
        self.change_pending(slot, id, |task| {
            task.node = Some(placement.node);
            task.ports = placement.ports;
            task.note = None;
            task.status = TaskStatus::Assigned;
            task.status_since = now;
        });
    }

    /// Says why a pending task still waits.
    pub(super) fn explain(&mut self, slot: Slot, id: TaskId, reason: String) {
        self.change_pending(slot, id, |task| task.note = Some(reason));
    }

    fn change_pending(&mut self, slot: Slot, id: TaskId, change: impl FnOnce(&mut Task)) {
        let Some(mut replica) = self.slots.get_mut(slot).take_active(id) else { return };
        let task = Arc::make_mut(&mut replica.task);
        change(task);
        task.updated_at = self.ctx.now;
        if task.node.is_some() {
            replica.place = Place::Here;
        }
        let task = Arc::clone(&replica.task);
        self.announce(&task);
        self.slots.get_mut(slot).active.push(replica);
        self.put(Change::Task(task));
    }

    /// Changes the row of a wanted task in place, and answers it.
    pub(super) fn change_active(
        &mut self,
        slot: Slot,
        id: TaskId,
        change: impl FnOnce(&mut Task),
    ) -> Option<Arc<Task>> {
        let now = self.now();
        let mut active = self.slots.get_mut(slot).active.iter_mut();
        let replica = active.find(|replica| replica.task.id == id)?;
        let row = Arc::make_mut(&mut replica.task);
        change(row);
        row.updated_at = now;
        let task = Arc::clone(&replica.task);
        self.put(Change::Task(Arc::clone(&task)));
        Some(task)
    }

    /// Says where a task was placed, or why it was not.
    fn announce(&mut self, task: &Task) {
        let (slot, name) = (task.slot, self.name(task.slot));
        match (task.node, &task.note) {
            (Some(node), _) => {
                let node = self.node_name(node);
                let text = format!("{name} assigned to {}", node.as_ref().map_or("?", NodeName::as_str));
                self.event(EventKind::TaskAssigned, Severity::Info, task.id, text);
                self.plan.steps.push(Step::Start { slot, node });
            }
            (None, note) => {
                let reason = note.clone().unwrap_or_default();
                let text = format!("no node fits {name}: {reason}");
                self.event(EventKind::UnableToPlace, Severity::Warning, task.id, text);
                self.plan.steps.push(Step::Wait { slot, reason });
            }
        }
    }

    /// Ends a wanted task: its container is to be removed. One that has no node is taken back at once.
    pub(super) fn stop(&mut self, slot: Slot, id: TaskId, cause: StopCause) {
        let Some(replica) = self.slots.get_mut(slot).take_active(id) else { return };
        self.say_stopped(&replica.task, cause);
        self.stepped |= cause == StopCause::Outdated;
        if replica.task.node.is_none() || replica.place == Place::Gone {
            self.put(Change::Remove(Key::Task(id)));
            return;
        }
        let now = self.now();
        let mut task = replica.task;
        let row = Arc::make_mut(&mut task);
        row.desired = DesiredStatus::Removed;
        row.desired_since = now;
        row.stop_cause = Some(cause);
        row.updated_at = now;
        self.slots.get_mut(slot).stopping.push((Arc::clone(&task), replica.place));
        self.put(Change::Task(task));
    }

    fn say_stopped(&mut self, task: &Task, cause: StopCause) {
        let node = task.node.and_then(|node| self.node_name(node));
        let kind = if self.deployment.is_some() && cause == StopCause::Outdated {
            EventKind::RolloutTaskStopped
        } else {
            EventKind::ReconcilerTaskStopped
        };
        let severity = match cause {
            StopCause::NodeLost | StopCause::Unhealthy => Severity::Warning,
            StopCause::Outdated
            | StopCause::Drained
            | StopCause::Surplus
            | StopCause::Deleted
            | StopCause::Moved => Severity::Info,
        };
        let text = format!("{} is stopped: {cause}", self.name(task.slot));
        self.event(kind, severity, task.id, text);
        self.plan.steps.push(Step::Stop { slot: task.slot, node, cause });
    }

    /// Says something of a task.
    pub(super) fn event(&mut self, kind: EventKind, severity: Severity, task: TaskId, message: String) {
        self.event_about(kind, severity, RelatedObject::Task(task), message);
    }

    /// Says something in the service's namespace, and among its events.
    pub(super) fn event_about(
        &mut self,
        kind: EventKind,
        severity: Severity,
        related: RelatedObject,
        message: String,
    ) {
        let mut event = self.ctx.event(kind, severity, related, message);
        event.namespace = Some(self.service.namespace.clone());
        event.concern(self.service.id);
        self.plan.transaction.events.push(event);
    }

    /// `web.3`, as people read it.
    pub(super) fn name(&self, slot: Slot) -> String {
        format!("{}.{slot}", self.service.spec.name)
    }

    pub(super) fn node_name(&self, node: NodeId) -> Option<NodeName> {
        self.draft.node(node).map(|node| node.name.clone())
    }
}

fn wanted(cluster: &Cluster, service: &Arc<Service>) -> Wanted {
    let digest = match cluster.service_revision(service.id, service.version) {
        Some(revision) => revision.digest,
        None => service.spec.template.digest(),
    };
    Wanted { version: service.version, digest, spec: SpecSource::Service(Arc::clone(service)) }
}
