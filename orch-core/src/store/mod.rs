//! [`Store`]: where the state is kept. It writes groups of transactions, whole or not at all, and answers history.

pub mod history;
pub mod memory;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use history::{AuditFilter, EventFilter, EventSeq, History};
pub use memory::MemoryStore;

use crate::BoxError;
use crate::cluster::{Change, Revision, Transaction};
use crate::id::ClusterId;

/// The right to write: a number that only grows. A writer with an older one is fenced off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// All that a store holds of the live state.
#[derive(Clone, Debug)]
pub struct Image {
    /// Which cluster it belongs to; drawn once, when the store was made.
    pub cluster: ClusterId,
    /// The last transaction in it.
    pub revision: Revision,
    /// Every row.
    pub rows: Vec<Change>,
}

/// Keeps the state. One writer at a time, held to it by the epoch.
#[async_trait]
pub trait Store: History + Send + Sync + 'static {
    /// Takes the right to write away from whoever had it, and loads the image. `fresh` becomes the cluster's id if the
    /// store is new. Called once at start, and again after [`CommitError::Unknown`].
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError>;

    /// Writes the group in order, whole or not at all; returns once it is durable. `base` is the revision before the
    /// group: its transactions take the revisions after it, without a gap. Empty transactions must not be in it.
    /// Not cancel-safe: a dropped call counts as [`CommitError::Unknown`].
    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError>;

    /// Whether what would be written now would be kept. Cheap, and writes nothing: asked every few seconds, so that trouble is
    /// known before a write meets it. All is well unless a store says otherwise.
    ///
    /// # Errors
    /// Nothing can be written for now; the control plane refuses writes, and tries on.
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Removes history that is older than `retention` says, in chunks; answers how many rows went.
    async fn prune(
        &self,
        events_before: crate::time::Timestamp,
        audit_before: crate::time::Timestamp,
    ) -> Result<u64, StoreError>;
}

/// Why a group was not written.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Someone else has the right to write now: step down.
    #[error("a newer writer holds epoch {newest:?}")]
    Fenced {
        /// The epoch that counts now.
        newest: Epoch,
    },
    /// Nothing was written: callers are told to try again, and the writer goes on. They are told the cause in its own words
    /// (`Display`), so it names no place and quotes no row; its sources go to the log.
    #[error("nothing was written")]
    NotWritten(#[source] BoxError),
    /// It cannot be told whether the group was written: open again before deciding anything more.
    #[error("it is not known whether the group was written")]
    Unknown(#[source] BoxError),
}

/// Why a store could not be read or opened.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or is busy: try again. Of a store that was open, callers are told the cause in its own words
    /// (`Display`), as of [`CommitError::NotWritten`].
    #[error("the store is not available")]
    Unavailable(#[source] BoxError),
    /// What it holds cannot be understood: a person must look.
    #[error("the store holds what this version cannot read: {what}")]
    Corrupt {
        /// Which table or row, without its content.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
}
