//! [`FaultyStore`]: a store that fails on request, in each way that the trait knows.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::cluster::{Revision, Transaction};
use crate::id::ClusterId;
use crate::store::{CommitError, Epoch, Image, MemoryStore, Store, StoreError};
use crate::time::Timestamp;

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written.
    NotWritten,
    /// Nothing is written, and the writer cannot know.
    LostBefore,
    /// It is written, and the writer cannot know.
    LostAfter,
    /// It never comes to an end.
    Hangs,
}

/// Wraps a [`MemoryStore`]; faults are taken in order, one a commit or opening.
#[derive(Debug)]
pub struct FaultyStore {
    store: MemoryStore,
    faults: Mutex<Faults>,
    gate: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Faults {
    commits: VecDeque<Fault>,
    openings: usize,
    groups: Vec<usize>,
    opened: usize,
}

impl Default for FaultyStore {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultyStore {
    /// A store without faults.
    #[must_use]
    pub fn new() -> Self {
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { store: MemoryStore::new(), faults: Mutex::default(), gate }
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next commits go so.
    pub fn next_commits(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults().commits.extend(faults);
    }

    /// So many openings fail.
    pub fn fail_openings(&self, count: usize) {
        self.faults().openings = count;
    }

    /// Commits wait until [`FaultyStore::release`] lets them through.
    pub fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets so many commits through.
    pub fn release(&self, commits: usize) {
        self.gate.add_permits(commits);
    }

    /// How many transactions each commit that was asked for had, in order.
    #[must_use]
    pub fn groups(&self) -> Vec<usize> {
        self.faults().groups.clone()
    }

    /// How often it was opened.
    #[must_use]
    pub fn opened(&self) -> usize {
        self.faults().opened
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        {
            let mut faults = self.faults();
            if faults.openings > 0 {
                faults.openings -= 1;
                return Err(StoreError::Unavailable("as was asked for".into()));
            }
            faults.opened += 1;
        }
        self.store.open(fresh).await
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let fault = {
            let mut faults = self.faults();
            faults.groups.push(group.len());
            faults.commits.pop_front()
        };
        self.gate.acquire().await.expect("the gate is never closed").forget();
        match fault {
            None => self.store.commit(epoch, base, group).await,
            Some(Fault::NotWritten) => Err(CommitError::NotWritten("as was asked for".into())),
            Some(Fault::LostBefore) => Err(CommitError::Unknown("as was asked for".into())),
            Some(Fault::LostAfter) => {
                self.store.commit(epoch, base, group).await?;
                Err(CommitError::Unknown("as was asked for".into()))
            }
            Some(Fault::Hangs) => std::future::pending().await,
        }
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        self.store.prune(events_before, audit_before).await
    }
}

crate::history_of!(FaultyStore, store);
