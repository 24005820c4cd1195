//! [`Transaction`]: state, events, audit and receipt that become true together or not at all.

use std::collections::BTreeMap;

use super::{Change, Key, Revision};
use crate::record::{AuditRecord, Event};

/// What a decision asks to be written. Empty transactions are not written and take no revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// Rows, in the order they become true.
    pub changes: Vec<Change>,
    /// Events.
    pub events: Vec<Event>,
    /// Audit records.
    pub audit: Vec<AuditRecord>,
}

impl Transaction {
    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.events.is_empty() && self.audit.is_empty()
    }

    /// Adds a row.
    pub fn put(&mut self, row: impl Into<Change>) {
        self.changes.push(row.into());
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Key) {
        self.changes.push(Change::Remove(key));
    }
}

/// The rows of a group in which each row stands once, with its last value: what a store writes.
#[must_use]
pub fn fold<'a>(group: impl IntoIterator<Item = &'a Transaction>) -> BTreeMap<Key, &'a Change> {
    group.into_iter().flat_map(|t| &t.changes).map(|change| (change.key(), change)).collect()
}

/// A transaction that is durable.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its place in the cluster's history: gapless, from 1.
    pub revision: Revision,
    /// What became true.
    pub transaction: std::sync::Arc<Transaction>,
}
