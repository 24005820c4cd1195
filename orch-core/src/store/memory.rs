//! [`MemoryStore`]: keeps everything in memory; for tests, `--dev` and the simulation.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use super::{AuditFilter, CommitError, Epoch, EventFilter, EventSeq, History, Image, Store, StoreError};
use crate::cluster::{Change, Key, Revision, Transaction, fold};
use crate::id::ClusterId;
use crate::record::{AuditRecord, Event};
use crate::time::Timestamp;

/// A store that lasts as long as the value. Its promises are those of the trait, durability aside.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cluster: Option<ClusterId>,
    epoch: Epoch,
    revision: Revision,
    rows: BTreeMap<Key, Change>,
    events: Vec<(EventSeq, Event)>,
    audit: Vec<AuditRecord>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        let mut inner = self.inner();
        inner.epoch = Epoch(inner.epoch.0 + 1);
        let cluster = *inner.cluster.get_or_insert(fresh);
        let image = Image { cluster, revision: inner.revision, rows: inner.rows.values().cloned().collect() };
        Ok((inner.epoch, image))
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let mut inner = self.inner();
        if epoch != inner.epoch {
            return Err(CommitError::Fenced { newest: inner.epoch });
        }
        if base != inner.revision {
            return Err(CommitError::NotWritten(
                format!("the store is at {}, not {base}", inner.revision).into(),
            ));
        }
        for (key, change) in fold(group) {
            match change {
                Change::Remove(_) => inner.rows.remove(&key),
                row => inner.rows.insert(key, row.clone()),
            };
        }
        for (revision, transaction) in (base.0 + 1..).map(Revision).zip(group) {
            let places = (0..).map(|ordinal| EventSeq { revision, ordinal });
            inner.events.extend(places.zip(transaction.events.iter().cloned()));
            inner.audit.extend(transaction.audit.iter().cloned());
        }
        inner.revision = Revision(base.0 + group.len() as u64);
        Ok(inner.revision)
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        let mut inner = self.inner();
        let before = inner.events.len() + inner.audit.len();
        inner.events.retain(|(_, event)| event.at >= events_before);
        inner.audit.retain(|record| record.at >= audit_before);
        Ok((before - inner.events.len() - inner.audit.len()) as u64)
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        Ok(self
            .inner()
            .events
            .iter()
            .rev()
            .filter(|(_, event)| filter.matches(event))
            .take(filter.limit)
            .map(|(_, event)| event.clone())
            .collect())
    }

    async fn events_after(
        &self,
        after: EventSeq,
        filter: &EventFilter,
    ) -> Result<Vec<(EventSeq, Event)>, StoreError> {
        let inner = self.inner();
        let later = inner.events.iter().filter(|(seq, event)| *seq > after && filter.matches(event));
        Ok(later.take(filter.limit).cloned().collect())
    }

    async fn oldest_event(&self) -> Result<Option<EventSeq>, StoreError> {
        Ok(self.inner().events.first().map(|(seq, _)| *seq))
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self
            .inner()
            .audit
            .iter()
            .rev()
            .filter(|record| filter.matches(record))
            .take(filter.limit)
            .cloned()
            .collect())
    }
}
