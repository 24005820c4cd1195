//! The server's disk: a store that is slow, refuses, and loses the answer of a commit before or after it was durable.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use orch_core::cluster::{Change, Revision, Transaction};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::ClusterId;
use orch_core::store::{CommitError, Epoch, Image, MemoryStore, Store, StoreError};
use orch_core::time::Timestamp;

/// How the disk behaves, in parts of a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wear {
    /// Nothing is written, and the store says so.
    pub refused: u64,
    /// Nothing is written, and the store cannot tell.
    pub unknown_before: u64,
    /// The group is written, and the store cannot tell.
    pub unknown_after: u64,
    /// The commit takes up to two seconds.
    pub slow: u64,
}

/// A disk that outlives the server's crashes.
pub struct Disk {
    store: MemoryStore,
    env: SharedEnv,
    state: Mutex<State>,
    loses_writes: bool,
}

#[derive(Default)]
struct State {
    wear: Wear,
    writes: u64,
}

impl Disk {
    /// A new disk; one that loses writes acknowledges some without having written them.
    #[must_use]
    pub fn new(env: SharedEnv, loses_writes: bool) -> Self {
        Self { store: MemoryStore::new(), env, state: Mutex::default(), loses_writes }
    }

    /// From now on it behaves so.
    pub fn set_wear(&self, wear: Wear) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wear = wear;
    }

    /// Transactions written so far that were more than the rotation of a credential.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).writes
    }

    fn wear(&self) -> Wear {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wear
    }

    fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.env.random_u64() % 1_000 < per_mille
    }
}

fn is_more_than_rotation(transaction: &Transaction) -> bool {
    let rotation = |change: &Change| matches!(change, Change::Credential(_));
    !transaction.events.is_empty()
        || !transaction.audit.is_empty()
        || !transaction.changes.iter().all(rotation)
}

#[async_trait]
impl Store for Disk {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        if self.chance(self.wear().refused) {
            return Err(StoreError::Unavailable("the disk is busy".into()));
        }
        self.store.open(fresh).await
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let wear = self.wear();
        let micros = if self.chance(wear.slow) { 2_000_000 } else { 1_000 };
        self.env.sleep(Duration::from_micros(self.env.random_u64() % micros)).await;
        if self.chance(wear.refused) {
            return Err(CommitError::NotWritten("the disk is full".into()));
        }
        if self.chance(wear.unknown_before) {
            return Err(CommitError::Unknown("the connection broke".into()));
        }
        if self.loses_writes && self.chance(20) {
            return Ok(Revision(base.0 + group.len() as u64));
        }
        let written = self.store.commit(epoch, base, group).await?;
        let more = group.iter().filter(|transaction| is_more_than_rotation(transaction)).count();
        self.state.lock().unwrap_or_else(PoisonError::into_inner).writes += more as u64;
        // A crash here is the one between durable and answered.
        self.env.sleep(Duration::from_micros(self.env.random_u64() % micros)).await;
        if self.chance(wear.unknown_after) {
            return Err(CommitError::Unknown("the connection broke".into()));
        }
        Ok(written)
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        self.store.prune(events_before, audit_before).await
    }
}

orch_core::testing::wrapped_store::history_of!(Disk, store);
