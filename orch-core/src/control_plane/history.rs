//! What happened: asked for by filter, listened to, and forgotten after a while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::query::{ReadAudit, ReadEvents};
use super::shared::Shared;
use super::{CommitFeed, ControlPlane, EventFeed};
use crate::cluster::Revision;
use crate::env::EnvExt as _;
use crate::id::EventId;
use crate::identity::{Permit, Scope};
use crate::name::Namespace;
use crate::record::{AuditRecord, Event};
use crate::store::{AuditFilter, EventFilter, EventSeq, StoreError};

/// How often what is past its time is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// The most records that a filter is answered with.
pub const MOST_RECORDS: usize = 10_000;
/// How many events are read at once where a listener begins.
const PAGE: usize = 500;
/// How often a listener hears something, whatever happens.
const ALIVE: Duration = Duration::from_secs(15);

impl ControlPlane {
    /// Events, newest first, as far as the permit reaches: those of its namespace, and cluster-wide ones.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events(
        &self,
        permit: &Permit<ReadEvents>,
        mut filter: EventFilter,
    ) -> Result<Vec<Event>, StoreError> {
        let Some(namespace) = narrow(permit.scope(), filter.namespace.take()) else { return Ok(Vec::new()) };
        filter.namespace = namespace;
        filter.limit = filter.limit.min(MOST_RECORDS);
        self.shared().parts.store.events(&filter).await
    }

    /// Audit records, newest first, as far as the permit reaches: cluster-wide ones only under a cluster-wide permit.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit(
        &self,
        permit: &Permit<ReadAudit>,
        mut filter: AuditFilter,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let Some(namespace) = narrow(permit.scope(), filter.namespace.take()) else { return Ok(Vec::new()) };
        filter.namespace = namespace;
        let wanted = filter.limit.min(MOST_RECORDS);
        filter.limit = wanted;
        let hidden = |record: &AuditRecord| record.namespace.is_none() && *permit.scope() != Scope::Cluster;
        loop {
            let mut records = self.shared().parts.store.audit(&filter).await?;
            let all = records.len() < filter.limit || filter.limit >= MOST_RECORDS;
            records.retain(|record| !hidden(record));
            // What was hidden must not shorten the answer: ask further back.
            if all || records.len() >= wanted {
                records.truncate(wanted);
                return Ok(records);
            }
            filter.limit = filter.limit.saturating_mul(4).min(MOST_RECORDS);
        }
    }

    /// Events after a place, oldest first, as far as the permit reaches. After transaction 0: from the oldest that is kept.
    ///
    /// # Errors
    /// [`EventsError::Gone`]: what came right after the place is no longer kept. [`EventsError::Store`].
    pub async fn events_after(
        &self,
        permit: &Permit<ReadEvents>,
        after: EventSeq,
        mut filter: EventFilter,
    ) -> Result<Vec<(EventSeq, Event)>, EventsError> {
        let Some(namespace) = narrow(permit.scope(), filter.namespace.take()) else { return Ok(Vec::new()) };
        filter.namespace = namespace;
        filter.limit = filter.limit.min(MOST_RECORDS);
        let store = &self.shared().parts.store;
        let events = store.events_after(after, &filter).await?;
        // Asked last: what is forgotten in between is then found out.
        match store.oldest_event().await? {
            Some(oldest) if oldest > after && after.revision > Revision(0) => {
                Err(EventsError::Gone { oldest })
            }
            _ => Ok(events),
        }
    }

    /// Events after a place and then as they come, oldest first; `after` left out: the newest that pass the filter, then what
    /// comes.
    ///
    /// # Errors
    /// As [`ControlPlane::events_after`].
    pub async fn follow_events(
        &self,
        permit: &Permit<ReadEvents>,
        after: Option<EventSeq>,
        filter: EventFilter,
    ) -> Result<EventFollow, EventsError> {
        let feed = self.commits();
        let mut first = Vec::new();
        let at = match after {
            Some(after) => {
                let probe = EventFilter { limit: 0, ..filter.clone() };
                self.events_after(permit, after, probe).await?;
                after
            }
            None => {
                let at = EventSeq::end_of(self.image().revision());
                first = self.events(permit, filter.clone()).await?;
                first.reverse();
                at
            }
        };
        let seen = first.iter().map(|event| event.id).collect();
        let filter = EventFilter { limit: PAGE, ..filter };
        let (plane, permit) = (self.clone(), permit.scope().clone());
        Ok(EventFollow { plane, scope: permit, feed, filter, at, caught_up: false, first, seen })
    }

    /// Events from now on, those that are never stored included.
    #[must_use]
    pub fn subscribe(&self, permit: &Permit<ReadEvents>) -> EventFeed {
        self.shared().published.feed.events(permit.scope().clone())
    }

    /// Committed transactions from now on, for parts of the same process that hold no permit.
    #[must_use]
    pub fn commits(&self) -> CommitFeed {
        self.shared().published.feed.commits()
    }
}

/// Why events are not answered.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// What came right after the place that was named is no longer kept.
    #[error("events that came after the place are no longer kept; the oldest that is kept is {oldest}")]
    Gone {
        /// The oldest event that is kept.
        oldest: EventSeq,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Some events, and the place after them: all before it was looked at.
#[derive(Clone, Debug, Default)]
pub struct EventBatch {
    /// Oldest first. Without a place: of the newest that were asked for at the beginning.
    pub events: Vec<(Option<EventSeq>, Event)>,
    /// Where to go on.
    pub at: EventSeq,
}

/// Events as they come. Reads the store where it begins and where it fell behind, the feed in between.
pub struct EventFollow {
    plane: ControlPlane,
    scope: Scope,
    feed: CommitFeed,
    filter: EventFilter,
    at: EventSeq,
    caught_up: bool,
    first: Vec<Event>,
    /// What the first batch holds: some of it may come again after its place.
    seen: BTreeSet<EventId>,
}

impl EventFollow {
    /// What comes next; a batch without events says that all is well and where to go on. `None`: the control plane ends.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&mut self) -> Option<Result<EventBatch, StoreError>> {
        if !self.first.is_empty() {
            let events = std::mem::take(&mut self.first).into_iter().map(|event| (None, event)).collect();
            return Some(Ok(EventBatch { events, at: self.at }));
        }
        let late = self.plane.shared().parts.env.sleep(ALIVE);
        tokio::pin!(late);
        loop {
            if !self.caught_up {
                match self.page().await {
                    Ok(events) if events.is_empty() => continue,
                    Ok(events) => return Some(Ok(EventBatch { events, at: self.at })),
                    Err(error) => return Some(Err(error)),
                }
            }
            let committed = tokio::select! {
                biased;
                () = self.plane.shared().stop.cancelled() => return None,
                item = self.feed.next() => match item? {
                    Ok(committed) => committed,
                    Err(_) => {
                        self.caught_up = false;
                        continue;
                    }
                },
                () = &mut late => return Some(Ok(EventBatch { events: Vec::new(), at: self.at })),
            };
            let revision = committed.revision;
            let places = (0..).map(|ordinal| EventSeq { revision, ordinal });
            let events =
                places.zip(&committed.transaction.events).filter(|(seq, event)| self.wants(*seq, event));
            let events: Vec<_> = events.map(|(seq, event)| (Some(seq), event.clone())).collect();
            self.at = self.at.max(EventSeq::end_of(revision));
            if !events.is_empty() {
                return Some(Ok(EventBatch { events, at: self.at }));
            }
        }
    }

    fn wants(&self, seq: EventSeq, event: &Event) -> bool {
        self.filter.matches(event) && self.is_new(seq, event)
    }

    fn is_new(&self, seq: EventSeq, event: &Event) -> bool {
        seq > self.at && super::feed::sees(&self.scope, event) && !self.seen.contains(&event.id)
    }

    async fn page(&mut self) -> Result<Vec<(Option<EventSeq>, Event)>, StoreError> {
        let head = EventSeq::end_of(self.plane.image().revision());
        let page = self.plane.shared().parts.store.events_after(self.at, &self.filter).await?;
        let full = page.len() >= self.filter.limit;
        let last = page.last().map(|(seq, _)| *seq);
        // The store has filtered, and knows of older events what they do not tell themselves.
        let wanted = page.into_iter().filter(|(seq, event)| self.is_new(*seq, event));
        let wanted = wanted.map(|(seq, event)| (Some(seq), event)).collect();
        self.at = self.at.max(last.unwrap_or(self.at));
        if !full {
            self.at = self.at.max(head);
            self.caught_up = true;
        }
        Ok(wanted)
    }
}

/// The namespace to filter by; `None`: the permit reaches nothing of what is asked for.
fn narrow(scope: &Scope, asked: Option<Namespace>) -> Option<Option<Namespace>> {
    match scope {
        Scope::Cluster => Some(asked),
        Scope::Namespace(of) if asked.as_ref().is_none_or(|asked| asked == of) => Some(Some(of.clone())),
        Scope::Namespace(_) | Scope::Node(_) => None,
    }
}

/// Forgets, once an hour, what is older than the policy says. Beside the writer: it touches no state.
pub(super) async fn forget(shared: Arc<Shared>) {
    let (env, policy) = (&shared.parts.env, &shared.parts.policy);
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = env.sleep(PRUNE_EVERY) => {}
        }
        if !shared.health.get().is_ready() {
            continue;
        }
        let now = shared.clock.now();
        match shared.parts.store.prune(now - policy.keep_events, now - policy.keep_audit).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed history that is past its time"),
            Err(error) => tracing::warn!(%error, "history could not be pruned"),
        }
    }
}
