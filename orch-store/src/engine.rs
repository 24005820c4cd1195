//! [`Engine`]: all that differs between the two databases.

use async_trait::async_trait;
use orch_core::store::StoreError;
use sea_orm::{DatabaseConnection, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions};

use crate::error::SqlFailure;

/// A database engine as this store uses it: one connection that writes, a few that read.
#[async_trait]
pub(crate) trait Engine: Send + Sync + 'static {
    /// Its dialect.
    fn backend(&self) -> DbBackend;

    /// A fresh connection to write on: a pool of one.
    async fn writer(&self) -> Result<DatabaseConnection, StoreError>;

    /// Connections to read history on.
    async fn readers(&self) -> Result<DatabaseConnection, StoreError>;

    /// Called before an existing schema of that version is changed.
    async fn before_migration(&self, writer: &DatabaseConnection, version: i64) -> Result<(), StoreError>;

    /// Whether a commit that failed so certainly left nothing behind.
    fn commit_left_nothing(&self, failure: &SqlFailure) -> bool;

    /// What a failure to read means.
    fn read_failure(&self, failure: SqlFailure) -> StoreError;

    /// Counts what was written; true once it is time for [`Engine::tidy`].
    fn wrote(&self, rows: usize) -> bool;

    /// Upkeep on the writing connection, between two groups.
    async fn tidy(&self, writer: &DatabaseConnection) -> Result<(), DbErr>;

    /// Whether what is written stays: the files that are open are still in their place. Asked before each write.
    fn is_kept(&self) -> bool {
        true
    }

    /// What is not in its place any more is made safe, over the connection that has it open. `Ok`: it is to be opened anew.
    async fn rescue(&self, writer: &DatabaseConnection) -> Result<(), StoreError> {
        let _ = writer;
        Ok(())
    }

    /// All connections are closed.
    fn closed(&self);
}

/// How each transaction begins: on SQLite with the right to write at once, since a later upgrade can fail whatever the
/// time-out. PostgreSQL ignores it.
pub(crate) const WRITING: TransactionOptions = TransactionOptions {
    isolation_level: None,
    access_mode: None,
    sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
};
