//! [`History`]: what happened, asked for by filter.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use super::StoreError;
use crate::cluster::Revision;
use crate::id::{NodeId, ServiceId, TaskId};
use crate::name::Namespace;
use crate::record::{ActorType, AuditRecord, Event, EventKind, Outcome, Severity};
use crate::time::Timestamp;

/// Which events are wanted; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this namespace, and cluster-wide ones.
    pub namespace: Option<Namespace>,
    /// Of this service: about it, one of its tasks, or one of its rollouts.
    pub service: Option<ServiceId>,
    /// About this task.
    pub task: Option<TaskId>,
    /// About this node.
    pub node: Option<NodeId>,
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// Which audit records are wanted; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this namespace, and cluster-wide ones.
    pub namespace: Option<Namespace>,
    /// By this kind of actor.
    pub actor_type: Option<ActorType>,
    /// By this actor.
    pub actor_id: Option<String>,
    /// Of this action.
    pub action: Option<String>,
    /// On this kind of target.
    pub target_type: Option<String>,
    /// On this target.
    pub target_id: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// At most so many, the newest.
    pub limit: usize,
}

impl EventFilter {
    /// Whether an event passes, `limit` aside.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        use crate::record::RelatedObject as About;
        let about = |wanted: Option<About>| wanted.is_none() || wanted == event.related;
        self.namespace.as_ref().is_none_or(|n| event.namespace.as_ref().is_none_or(|of| of == n))
            && self.service.is_none_or(|service| event.service() == Some(service))
            && about(self.task.map(About::Task))
            && about(self.node.map(About::Node))
            && self.kind.is_none_or(|kind| kind == event.kind)
            && self.severity.is_none_or(|severity| severity == event.severity)
            && self.since.is_none_or(|since| event.at >= since)
    }
}

impl AuditFilter {
    /// Whether a record passes, `limit` aside.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let text = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        self.namespace.as_ref().is_none_or(|n| record.namespace.as_ref().is_none_or(|of| of == n))
            && self.actor_type.is_none_or(|actor| actor == record.actor_type)
            && text(&self.actor_id, &record.actor_id)
            && text(&self.action, &record.action)
            && text(&self.target_type, &record.target_type)
            && text(&self.target_id, &record.target_id)
            && self.outcome.is_none_or(|outcome| outcome == record.outcome)
            && self.since.is_none_or(|since| record.at >= since)
    }
}

/// An event's place among all: the transaction it came with, and its place in it. What a listener goes on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventSeq {
    /// The transaction.
    pub revision: Revision,
    /// From 0.
    pub ordinal: u32,
}

impl EventSeq {
    /// After every event of that transaction.
    #[must_use]
    pub const fn end_of(revision: Revision) -> Self {
        Self { revision, ordinal: u32::MAX }
    }
}

/// `17.0`: transaction and place; `17`: after the whole transaction.
impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ordinal {
            u32::MAX => write!(f, "{}", self.revision.0),
            ordinal => write!(f, "{}.{ordinal}", self.revision.0),
        }
    }
}

/// The text is no sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the sequence number of an event")]
pub struct NoSeq;

impl FromStr for EventSeq {
    type Err = NoSeq;

    fn from_str(text: &str) -> Result<Self, NoSeq> {
        let (revision, ordinal) = match text.split_once('.') {
            None => (text, u32::MAX),
            Some((revision, ordinal)) => (revision, ordinal.parse().map_err(|_| NoSeq)?),
        };
        // Stores count in 63 bits.
        let revision =
            revision.parse().ok().filter(|revision| *revision <= i64::MAX.unsigned_abs()).ok_or(NoSeq)?;
        Ok(Self { revision: Revision(revision), ordinal })
    }
}

/// Answers what happened. Newest first, where nothing else is said.
#[async_trait]
pub trait History: Send + Sync {
    /// Events after a place, oldest first, at most `filter.limit` of those that pass the filter.
    async fn events_after(
        &self,
        after: EventSeq,
        filter: &EventFilter,
    ) -> Result<Vec<(EventSeq, Event)>, StoreError>;
    /// The place of the oldest event that is kept.
    async fn oldest_event(&self) -> Result<Option<EventSeq>, StoreError>;
    /// Events, newest first.
    async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError>;
    /// Audit records, newest first.
    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError>;
}
