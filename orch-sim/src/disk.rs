//! The server's disk: a store that is slow, refuses, and loses the answer of a commit before or after it was durable.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use orch_core::cluster::{Change, Revision, Transaction};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::id::ClusterId;
use orch_core::store::{CommitError, Epoch, Image, MemoryStore, Store, StoreError};
use orch_core::time::Timestamp;

use crate::planted::Planted;

/// When a group that hung is written: beyond the time that a writer waits.
const LATE: Duration = Duration::from_secs(45);

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
    /// The disk hangs, and writes the group long after everybody has given it up, if it is still allowed to.
    pub hung: u64,
}

/// A disk that outlives the server's crashes.
pub struct Disk {
    store: Arc<MemoryStore>,
    env: SharedEnv,
    state: Arc<Mutex<State>>,
    planted: Option<Planted>,
}

#[derive(Default)]
struct State {
    wear: Wear,
    /// Who may write, and onto what.
    newest: (Epoch, Revision),
    writes: u64,
    /// Acknowledged, and not written.
    owed: Option<(Epoch, Revision, Vec<Transaction>)>,
}

impl Disk {
    /// A new disk.
    #[must_use]
    pub fn new(env: SharedEnv, planted: Option<Planted>) -> Self {
        Self { store: Arc::default(), env, state: Arc::default(), planted }
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

    /// The group, as it comes to be on the disk.
    fn as_written<'g>(&self, group: &'g [Transaction]) -> Cow<'g, [Transaction]> {
        let mut written = Cow::Borrowed(group);
        match self.planted {
            Some(Planted::TornCommits) if self.chance(50) => {
                if let Some(last) = written.to_mut().last_mut() {
                    last.changes.truncate(last.changes.len() / 2);
                }
            }
            Some(Planted::LostDeletes) => {
                let is_kept = |change: &Change| !matches!(change, Change::Remove(_));
                written.to_mut().iter_mut().for_each(|transaction| transaction.changes.retain(is_kept));
            }
            _ => {}
        }
        written
    }

    /// Writes what was acknowledged before, and acknowledges this.
    async fn owe(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let owed = self.state.lock().unwrap_or_else(PoisonError::into_inner).owed.take();
        if let Some((epoch, base, group)) = owed {
            self.store.commit(epoch, base, &group).await?;
        }
        let after = Revision(base.0 + group.len() as u64);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).owed = Some((epoch, base, group.to_vec()));
        Ok(after)
    }

    fn wear(&self) -> Wear {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wear
    }

    fn chance(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.env.random_u64() % 1_000 < per_mille
    }
}

/// Whether a transaction writes more than the next credential of a node, or clears away what is past.
#[must_use]
pub fn is_more_than_rotation(transaction: &Transaction) -> bool {
    let rotation = |change: &Change| matches!(change, Change::Credential(_) | Change::Remove(_));
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
        let (epoch, image) = self.store.open(fresh).await?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.newest = (epoch, image.revision);
        // Whoever owed a write is gone.
        state.owed = None;
        Ok((epoch, image))
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
        if self.chance(wear.hung) {
            let (store, env, group) = (Arc::clone(&self.store), Arc::clone(&self.env), group.to_vec());
            let (state, unfenced) = (Arc::clone(&self.state), self.planted == Some(Planted::NoFence));
            self.env.spawn(Box::pin(async move {
                env.sleep(LATE).await;
                let newest = state.lock().unwrap_or_else(PoisonError::into_inner).newest;
                let (epoch, base) = if unfenced { newest } else { (epoch, base) };
                // Whoever opened the store since holds a newer epoch.
                drop(store.commit(epoch, base, &group).await);
            }));
            std::future::pending::<()>().await;
        }
        if self.planted == Some(Planted::EarlyAcknowledgement) {
            return self.owe(epoch, base, group).await;
        }
        if self.planted == Some(Planted::LostWrites) && self.chance(20) {
            return Ok(Revision(base.0 + group.len() as u64));
        }
        let written = self.store.commit(epoch, base, &self.as_written(group)).await?;
        if self.planted == Some(Planted::WrittenAndDenied) && self.chance(20) {
            return Err(CommitError::NotWritten("the disk says so".into()));
        }
        let more = group.iter().filter(|transaction| is_more_than_rotation(transaction)).count();
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.writes += more as u64;
            state.newest = (epoch, written);
        }
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
