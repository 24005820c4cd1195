//! SQLite stores in folders of their own.

use std::ops::Deref;
use std::path::PathBuf;

use orch_store::{SqlStore, SqliteOptions};
use tempfile::TempDir;

/// A store, and the folder that goes with it.
pub(crate) struct InFolder {
    store: SqlStore,
    pub(crate) folder: TempDir,
}

impl InFolder {
    pub(crate) fn path(&self) -> PathBuf {
        path(&self.folder)
    }

    /// Drops the store, and leaves its folder.
    pub(crate) fn dropped(self) -> TempDir {
        drop(self.store);
        self.folder
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopened(self) -> Self {
        self.store.close().await;
        open(self.folder, |options| options).await
    }
}

impl Deref for InFolder {
    type Target = SqlStore;
    fn deref(&self) -> &SqlStore {
        &self.store
    }
}

pub(crate) fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("orch.db")
}

pub(crate) async fn open(folder: TempDir, with: impl FnOnce(SqliteOptions) -> SqliteOptions) -> InFolder {
    let store = SqlStore::sqlite(with(SqliteOptions::new(path(&folder)))).await.expect("the store opens");
    InFolder { store, folder }
}

pub(crate) async fn fresh() -> InFolder {
    open(tempfile::tempdir().expect("a folder"), |options| options).await
}
