//! The schema's version can be asked for without changing anything.

use orch_core::secret::Secret;
use orch_store::{SCHEMA_VERSION, SqlStore, SqliteOptions, StoreUrl, schema_version};

use crate::postgres_server;

#[tokio::test]
async fn a_store_that_is_not_there_has_no_schema_and_is_not_made_by_asking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let url = StoreUrl::Sqlite(path.clone());
    assert_eq!(schema_version(&url).await.unwrap(), 0);
    assert!(!path.exists());
    std::fs::write(&path, "").unwrap();
    assert_eq!(schema_version(&url).await.unwrap(), 0);
    let postgres = StoreUrl::Postgres(Secret::new(postgres_server::url("postgres")));
    for _ in 0..2 {
        assert_eq!(schema_version(&postgres).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn the_version_is_told_while_the_store_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let store = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap();
    assert_eq!(schema_version(&StoreUrl::Sqlite(path)).await.unwrap(), SCHEMA_VERSION);
    store.close().await;
}
