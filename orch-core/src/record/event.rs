//! Events: what happened, in the contract's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{EventId, NodeId, ServiceId, TaskId};
use crate::name::Namespace;
use crate::time::Timestamp;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Where it happened; `None`: cluster-wide.
    #[serde(default)]
    pub namespace: Option<Namespace>,
    /// What happened.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// A sentence for people.
    pub message: String,
    /// What it is about.
    #[serde(default)]
    pub related: Option<RelatedObject>,
    /// More, by name. Never a secret.
    #[serde(default)]
    pub details: BTreeMap<String, String>,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// The name in `details` of the service that an event concerns without being about it.
    pub const SERVICE_DETAIL: &'static str = "service_id";

    /// The service that it concerns: the one it is about, else the one that its details name: of a task, of a rollout, or of
    /// what a drain waits for.
    #[must_use]
    pub fn service(&self) -> Option<ServiceId> {
        match &self.related {
            Some(RelatedObject::Service(id)) => Some(*id),
            _ => self.details.get(Self::SERVICE_DETAIL)?.parse().ok(),
        }
    }

    /// Says in the details which service it concerns, unless it is about that service anyway.
    pub fn concern(&mut self, service: ServiceId) {
        if self.service() != Some(service) {
            self.details.insert(Self::SERVICE_DETAIL.to_owned(), service.to_string());
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "id")]
pub enum RelatedObject {
    /// A node.
    Node(NodeId),
    /// A service.
    Service(ServiceId),
    /// A task.
    Task(TaskId),
    /// A namespace.
    Namespace(Namespace),
}

impl RelatedObject {
    /// The word on the wire, and the id in text.
    #[must_use]
    pub fn wire(&self) -> (&'static str, String) {
        match self {
            Self::Node(id) => ("node", id.to_string()),
            Self::Service(id) => ("service", id.to_string()),
            Self::Task(id) => ("task", id.to_string()),
            Self::Namespace(name) => ("namespace", name.to_string()),
        }
    }
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it by day.
    Warning,
    /// Look at it now.
    Error,
}

impl Severity {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal from $source:literal;)*) => {
        /// What happened. The text forms are public contract.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }
        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// The type on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),* } }
            /// The part of orch that says so.
            #[must_use]
            pub const fn source(self) -> &'static str { match self { $(Self::$name => $source),* } }
            /// From the type on the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$name),)* _ => None } }
        }
    };
}

event_kinds! {
    /// A node came in, or came back.
    NodeRegistered = "node.registered" from "controlplane";
    /// A heartbeat; live feed only, never stored.
    NodeHeartbeat = "node.heartbeat" from "controlplane";
    /// A node's agent said goodbye.
    NodeShutdown = "node.shutdown" from "controlplane";
    /// A node's status changed.
    NodeStatusChanged = "node.status.changed" from "controlplane";
    /// A node fell silent.
    NodeOfflineDetected = "node.offline.detected" from "controlplane";
    /// Too many nodes fell silent at once: nothing is replaced.
    SilenceHeld = "node.silence.held" from "controlplane";
    /// Enough of them are heard again.
    SilenceEased = "node.silence.eased" from "controlplane";
    /// A drain waits for something.
    NodeDrainPending = "node.drain.pending" from "controlplane";
    /// Something is the matter with a node, or is not any more.
    NodeConditionChanged = "node.condition.changed" from "controlplane";
    /// A node was cordoned or uncordoned.
    NodeCordonChanged = "node.cordon.changed" from "controlplane";
    /// A node was removed.
    NodeRemoved = "node.removed" from "controlplane";
    /// A node's credential was reset: someone used a dead one.
    NodeCredentialReset = "node.credential.reset" from "controlplane";
    /// A node registered without a key.
    NodeKeyless = "node.registered.keyless" from "controlplane";
    /// An admin approved another key for a node.
    NodeKeyApproved = "node.key.approved" from "controlplane";
    /// A node came with the key that was approved for it.
    NodeKeyReplaced = "node.key.replaced" from "controlplane";
    /// A token that admits nodes was made.
    EnrollmentTokenCreated = "enrollment.token.created" from "controlplane";
    /// A token that admits nodes was taken back.
    EnrollmentTokenRevoked = "enrollment.token.revoked" from "controlplane";
    /// Someone showed a token that does not admit him: told once for each reason.
    EnrollmentTokenRefused = "enrollment.token.refused" from "controlplane";
    /// The wall clock stepped.
    ClockStepped = "clock.stepped" from "controlplane";
    /// The server runs without protection that production needs.
    InsecureMode = "server.insecure" from "controlplane";
    /// A namespace was made.
    NamespaceCreated = "namespace.created" from "controlplane";
    /// A namespace was deleted.
    NamespaceDeleted = "namespace.deleted" from "controlplane";
    /// A service was created.
    ServiceCreated = "service.created" from "controlplane";
    /// A service's spec was changed by apply.
    ServiceUpdated = "service.updated" from "controlplane";
    /// A service's replica count was changed.
    ServiceScaled = "service.scaled" from "controlplane";
    /// A service is being deleted.
    ServiceDeletionStarted = "service.deletion.started" from "controlplane";
    /// A service is gone.
    ServiceDeleted = "service.deleted" from "controlplane";
    /// A rollout was asked for.
    ServiceRolloutStarted = "service.rollout.started" from "controlplane";
    /// It was noted which bytes a version runs.
    ServiceImagePinned = "service.image.pinned" from "controlplane";
    /// A rollback was asked for, or a failed rollout goes back.
    ServiceRollbackStarted = "service.rollback.started" from "controlplane";
    /// A restart began.
    ServiceRestartStarted = "service.restart.started" from "controlplane";
    /// Tasks are let move to better nodes.
    RebalanceStarted = "rebalance.started" from "controlplane";
    /// A task got its node.
    TaskAssigned = "task.assigned" from "scheduler";
    /// A task moved on.
    TaskStatusChanged = "task.status" from "agent";
    /// A task, or one attempt of it, failed.
    TaskFailed = "task.failed" from "agent";
    /// A task on its way out: out of discovery, or signalled.
    TaskStopping = "task.stopping" from "agent";
    /// A task stopped serving.
    TaskUnhealthy = "task.health.unhealthy" from "agent";
    /// A task serves again.
    TaskHealthy = "task.health.healthy" from "agent";
    /// Nothing fits a task.
    UnableToPlace = "scheduler.unable_to_place" from "scheduler";
    /// The reconciler made a task.
    ReconcilerTaskCreated = "reconciler.task.created" from "reconciler";
    /// The reconciler stops a task.
    ReconcilerTaskStopped = "reconciler.task.stopped" from "reconciler";
    /// A rollout made a task.
    RolloutTaskCreated = "rollout.task.created" from "rollout";
    /// A rollout stops a task.
    RolloutTaskStopped = "rollout.task.stopped" from "rollout";
    /// A rollout's status changed.
    RolloutStatusChanged = "rollout.status.changed" from "rollout";
}
