//! # orch-store — the state of a cluster in SQLite or PostgreSQL
//!
//! One store, two dialects: [`SqlStore`] implements [`Store`] and [`History`](orch_core::store::History) on both engines
//! with the same statements. What differs (opening, placeholders, checkpoints, what an error at commit means) stands in
//! `sqlite.rs` and `postgres.rs`, and nowhere else.
//!
//! The live state is read whole at [`Store::open`], and kept in memory by the control plane; so its rows are documents
//! with a key. Events and audit records are asked for by filter; so their filters are columns.
#![forbid(unsafe_code)]

mod backup;
mod commit;
mod engine;
mod error;
mod history;
mod load;
mod migration;
mod postgres;
mod row;
mod sqlite;
mod statement;
mod store;
mod url;

use std::sync::Arc;

use orch_core::store::{Store, StoreError};
use sea_orm::Database;

use crate::engine::Engine as _;
use crate::error::unavailable;

pub use backup::{BackupError, BackupReport, backup};
pub use postgres::PostgresOptions;
pub use sqlite::SqliteOptions;
pub use store::SqlStore;
pub use url::{InvalidUrl, StoreUrl};

/// The schema that this version of the crate works with, and brings every store to.
pub const SCHEMA_VERSION: u32 = migration::LATEST;

/// Opens the store that a URL names, with the defaults of its engine, and brings its schema up to date.
///
/// # Errors
/// It cannot be reached, another process holds it, or what it holds is not for this version.
pub async fn open(url: &StoreUrl) -> Result<Arc<dyn Store>, StoreError> {
    let store = match url {
        StoreUrl::Sqlite(path) => SqlStore::sqlite(SqliteOptions::new(path)).await?,
        StoreUrl::Postgres(url) => SqlStore::postgres(PostgresOptions::new(url.clone())).await?,
    };
    Ok(Arc::new(store))
}

/// The version of the schema that a store has; 0 where there is none yet. Makes and changes nothing, and a server may have the
/// store open meanwhile. See [`SCHEMA_VERSION`].
///
/// # Errors
/// It cannot be reached or read.
pub async fn schema_version(url: &StoreUrl) -> Result<u32, StoreError> {
    let connection = match url {
        StoreUrl::Sqlite(path) if !path.exists() => return Ok(0),
        StoreUrl::Sqlite(path) => {
            let options = sqlite::connect_options(path, 1, |sqlite| sqlite);
            Database::connect(options).await.map_err(unavailable)?
        }
        StoreUrl::Postgres(url) => {
            postgres::Postgres::new(PostgresOptions::new(url.clone())).readers().await?
        }
    };
    let version = migration::look(&connection).await.map_err(unavailable);
    let _ = connection.close().await;
    version.map(|version| u32::try_from(version).unwrap_or(u32::MAX))
}
