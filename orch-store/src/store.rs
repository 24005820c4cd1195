//! [`SqlStore`]: one store for both engines. It owns the one connection that writes and the few that read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use orch_core::cluster::{Revision, Transaction};
use orch_core::id::ClusterId;
use orch_core::record::{AuditRecord, Event};
use orch_core::store::{
    AuditFilter, CommitError, Epoch, EventFilter, EventSeq, History, Image, Store, StoreError,
};
use orch_core::time::Timestamp;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::commit::Work;
use crate::engine::{Engine, WRITING};
use crate::error::{SqlFailure, unavailable};
use crate::history::{Kept, PRUNE_CHUNK};
use crate::postgres::{Postgres, PostgresOptions};
use crate::sqlite::{Sqlite, SqliteOptions};
use crate::{commit, history, load, migration};

/// How long a connection that failed is waited for to close.
const CLOSING: Duration = Duration::from_secs(1);

/// A store in SQLite or PostgreSQL.
pub struct SqlStore {
    engine: Arc<dyn Engine>,
    /// `None` after a failure: the next to write connects anew.
    writer: Arc<Mutex<Option<DatabaseConnection>>>,
    readers: RwLock<DatabaseConnection>,
    closed: AtomicBool,
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore").field("backend", &self.engine.backend()).finish_non_exhaustive()
    }
}

impl SqlStore {
    /// Opens the SQLite database in a file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be used, another process has it open, or what it holds is not for this version.
    pub async fn sqlite(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::connect(Sqlite::new(options).await?).await
    }

    /// Connects to PostgreSQL, and brings the schema up to date.
    ///
    /// # Errors
    /// The server cannot be reached, or what the database holds is not for this version.
    pub async fn postgres(options: PostgresOptions) -> Result<Self, StoreError> {
        Self::connect(Postgres::new(options)).await
    }

    async fn connect(engine: impl Engine) -> Result<Self, StoreError> {
        let writer = engine.writer().await?;
        migration::run(&engine, &writer).await?;
        let readers = engine.readers().await?;
        let (engine, writer) = (Arc::new(engine), Arc::new(Mutex::new(Some(writer))));
        let readers = RwLock::new(readers);
        Ok(Self { engine, writer, readers, closed: AtomicBool::new(false) })
    }

    /// Waits for what is being written, and closes all connections. Dropping the store does the same in the background.
    /// Whatever is asked afterwards is refused.
    pub async fn close(&self) {
        let mut writer = self.writer.lock().await;
        self.closed.store(true, Ordering::Relaxed);
        if let Some(writer) = writer.take() {
            close(writer).await;
        }
        let _ = self.readers().close().await;
        self.engine.closed();
    }

    fn readers(&self) -> DatabaseConnection {
        self.readers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves files that are no longer in their place, once all that is in them is safe: what opens next opens what lies there.
    async fn leave(&self, slot: &mut Option<DatabaseConnection>) -> Result<(), StoreError> {
        if let Some(writer) = &*slot {
            self.engine.rescue(writer).await?;
        }
        if let Some(writer) = slot.take() {
            close(writer).await;
        }
        // None of the old may be left beside the new: they would share an index of different logs.
        let _ = self.readers().close().await;
        *slot = Some(self.engine.writer().await?);
        let readers = self.engine.readers().await?;
        *self.readers.write().unwrap_or_else(PoisonError::into_inner) = readers;
        Ok(())
    }

    /// The right to use the writing connection.
    async fn write(&self) -> Result<Writing, StoreError> {
        let mut slot = Arc::clone(&self.writer).lock_owned().await;
        if self.closed.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("the store is closed".into()));
        }
        if !self.engine.is_kept() {
            self.leave(&mut slot).await?;
        }
        // Taken out, so that whoever is dropped in the middle leaves no connection in an unknown state behind.
        let connection = match slot.take() {
            Some(connection) => connection,
            None => self.engine.writer().await?,
        };
        Ok(Writing { slot, connection })
    }

    /// The same, with a transaction begun: on a new connection where the old one turns out to be dead.
    async fn begin(&self) -> Result<(Writing, DatabaseTransaction), StoreError> {
        let mut writing = self.write().await?;
        let failure = match writing.connection.begin_with_options(WRITING).await {
            Ok(transaction) => return Ok((writing, transaction)),
            Err(error) => SqlFailure::from(error),
        };
        if !failure.is_of_connection() {
            return Err(unavailable(failure));
        }
        close(writing.connection).await;
        writing.connection = self.engine.writer().await?;
        let transaction = writing.connection.begin_with_options(WRITING).await.map_err(unavailable)?;
        Ok((writing, transaction))
    }
}

/// Holds the writing connection. Dropped, it closes the connection; the next to write makes a new one.
struct Writing {
    slot: OwnedMutexGuard<Option<DatabaseConnection>>,
    connection: DatabaseConnection,
}

impl Writing {
    fn done(mut self) {
        *self.slot = Some(self.connection);
    }

    /// Upkeep between two groups: nobody waits for it but the next group.
    fn tidy(self, engine: Arc<dyn Engine>) {
        tokio::spawn(async move {
            match engine.tidy(&self.connection).await.map_err(SqlFailure::from) {
                Ok(()) => self.done(),
                Err(error) => {
                    tracing::warn!(%error, "upkeep of the store failed");
                    self.failed().await;
                }
            }
        });
    }

    async fn failed(self) {
        close(self.connection).await;
    }
}

async fn close(connection: DatabaseConnection) {
    let _ = tokio::time::timeout(CLOSING, connection.close()).await;
}

#[async_trait]
impl Store for SqlStore {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        let (writing, transaction) = self.begin().await?;
        let opened = load::open(&*self.engine, transaction, fresh).await;
        match opened {
            Ok(_) => writing.done(),
            Err(_) => writing.failed().await,
        }
        opened
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let work = Work::of(base, group)?;
        let rows = work.rows();
        let begun = self.begin().await;
        let (writing, transaction) = begun.map_err(|error| match error {
            StoreError::Unavailable(cause) => CommitError::NotWritten(cause),
            other => CommitError::NotWritten(Box::new(other)),
        })?;
        let result = commit::run(&*self.engine, transaction, epoch, work).await;
        match &result {
            Ok(_) if self.engine.wrote(rows) => writing.tidy(Arc::clone(&self.engine)),
            Ok(_) | Err(CommitError::Fenced { .. }) => writing.done(),
            // After a failure neither the engine's nor the driver's idea of the transaction can be relied on.
            Err(CommitError::NotWritten(_) | CommitError::Unknown(_)) => writing.failed().await,
        }
        result
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.write().await.map(Writing::done)
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        let mut removed = 0;
        for (table, before) in [(Kept::Events, events_before), (Kept::Audit, audit_before)] {
            loop {
                let writing = self.write().await?;
                let rows = match history::prune_chunk(&writing.connection, table, before).await {
                    Ok(rows) => rows,
                    Err(error) => {
                        writing.failed().await;
                        return Err(self.engine.read_failure(error.into()));
                    }
                };
                removed += rows;
                if self.engine.wrote(usize::try_from(rows).unwrap_or(usize::MAX)) {
                    writing.tidy(Arc::clone(&self.engine));
                } else {
                    writing.done();
                }
                if rows < PRUNE_CHUNK.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(removed)
    }
}

#[async_trait]
impl History for SqlStore {
    async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        history::events(&*self.engine, &self.readers(), filter).await
    }

    async fn events_after(
        &self,
        after: EventSeq,
        filter: &EventFilter,
    ) -> Result<Vec<(EventSeq, Event)>, StoreError> {
        history::events_after(&*self.engine, &self.readers(), after, filter).await
    }

    async fn oldest_event(&self) -> Result<Option<EventSeq>, StoreError> {
        history::oldest_event(&*self.engine, &self.readers()).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        history::audit(&*self.engine, &self.readers(), filter).await
    }
}
