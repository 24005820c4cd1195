//! Files that are removed or replaced while a store has them open: nothing that was acknowledged is lost, nothing more is
//! acknowledged until they are in place, and then writing goes on without a restart.

use std::path::{Path, PathBuf};

use orch_core::cluster::{Revision, Transaction};
use orch_core::id::{ClusterId, IdStream};
use orch_core::record::EventKind;
use orch_core::store::{CommitError, Epoch, EventFilter, History as _, Store as _, StoreError};
use orch_core::testing::contract::sample::{NOW, Sample};
use orch_store::{SqlStore, SqliteOptions, StoreUrl, backup};

use crate::sqlite_file::{InFolder, fresh};

fn cluster() -> ClusterId {
    IdStream::seeded(1).next()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A store with its writer.
struct Written {
    store: InFolder,
    epoch: Epoch,
    revision: Revision,
    sample: Sample,
}

impl Written {
    /// With a few groups, in the database and in its log.
    async fn some() -> Self {
        let store = fresh().await;
        let (epoch, image) = store.open(cluster()).await.unwrap();
        let mut written = Self { store, epoch, revision: image.revision, sample: Sample::seeded(11) };
        for _ in 0..5 {
            written.write().await.unwrap();
        }
        written
    }

    async fn write(&mut self) -> Result<(), CommitError> {
        let events = vec![self.sample.event(EventKind::ServiceCreated, None, NOW)];
        let group = [Transaction { changes: self.sample.every_row(), events, ..Transaction::default() }];
        self.revision = self.store.commit(self.epoch, self.revision, &group).await?;
        Ok(())
    }

    async fn refused(&mut self) -> String {
        match self.write().await {
            Err(CommitError::NotWritten(cause)) => cause.to_string(),
            other => panic!("{other:?}"),
        }
    }

    async fn events(&self) -> u64 {
        let all = EventFilter { limit: 1_000, ..EventFilter::default() };
        self.store.events(&all).await.unwrap().len() as u64
    }

    /// Everything that was acknowledged is there after a new start, too.
    async fn all_is_kept(self) {
        let reopened = self.store.reopened().await;
        let (_, image) = reopened.open(cluster()).await.unwrap();
        assert_eq!((image.cluster, image.revision), (cluster(), self.revision));
        // The namespace and the receipt are the same each time.
        let of_each = Sample::seeded(1).every_row().len() as u64 - 2;
        assert_eq!(image.rows.len() as u64, self.revision.0 * of_each + 2);
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_rescued_from_a_removed_file_and_goes_on_in_its_place() {
    let mut written = Written::some().await;
    let path = written.store.path();
    std::fs::remove_file(&path).unwrap();
    let told = written.refused().await;
    assert_eq!(
        told,
        "the database file was removed while it was open; put it back, or move orch.db.rescued, which holds all that was \
         written, into its place"
    );
    assert_eq!(written.events().await, written.revision.0, "history is still read");
    assert!(written.store.check().await.is_err());
    written.refused().await;
    let rescued = beside(&path, ".rescued");
    assert!(rescued.exists() && !beside(&path, ".rescued.2").exists(), "one copy");
    assert!(!path.exists(), "what somebody removed is not made anew behind his back");

    std::fs::rename(&rescued, &path).unwrap();
    written.store.check().await.unwrap();
    written.write().await.unwrap();
    assert_eq!(written.events().await, written.revision.0, "and read where it is written now");
    written.all_is_kept().await;
}

#[tokio::test]
async fn a_file_that_is_put_back_is_written_to_again() {
    let mut written = Written::some().await;
    let path = written.store.path();
    let away = beside(&path, ".away");
    std::fs::rename(&path, &away).unwrap();
    assert!(written.refused().await.contains("removed"));
    std::fs::rename(&away, &path).unwrap();
    written.write().await.unwrap();
    written.all_is_kept().await;
}

#[tokio::test]
async fn a_log_that_is_removed_loses_nothing_and_holds_nobody_up() {
    for suffixes in [&["-wal"][..], &["-shm"], &["-wal", "-shm"]] {
        let mut written = Written::some().await;
        let path = written.store.path();
        for suffix in suffixes {
            std::fs::remove_file(beside(&path, suffix)).unwrap();
        }
        written.write().await.unwrap();
        assert!(beside(&path, "-wal").exists(), "{suffixes:?}: it is written under its name again");
        assert_eq!(written.events().await, written.revision.0);
        // As after a crash: what lies there now, without what an orderly end would bring in.
        let copied = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            let to = beside(&copied.path().join("orch.db"), suffix);
            std::fs::copy(beside(&path, suffix), to).unwrap();
        }
        let crashed = SqlStore::sqlite(SqliteOptions::new(copied.path().join("orch.db"))).await.unwrap();
        assert_eq!(crashed.open(cluster()).await.unwrap().1.revision, written.revision, "{suffixes:?}");
        written.all_is_kept().await;
    }
}

#[tokio::test]
async fn a_file_that_takes_the_place_of_the_open_one_is_left_alone_unless_it_holds_the_same() {
    let mut written = Written::some().await;
    let path = written.store.path();
    let older = written.store.folder.path().join("older.db");
    backup(&StoreUrl::Sqlite(path.clone()), &older).await.unwrap();
    written.write().await.unwrap();
    let bytes = std::fs::read(&older).unwrap();
    std::fs::rename(&older, &path).unwrap();
    assert!(
        written.refused().await.starts_with("the database file was replaced by another while it was open")
    );
    assert!(written.refused().await.contains("orch.db.rescued"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    std::fs::rename(beside(&path, ".rescued"), &path).unwrap();
    written.write().await.unwrap();
    written.all_is_kept().await;
}

#[tokio::test]
async fn no_new_database_is_begun_where_a_rescued_one_lies() {
    let mut written = Written::some().await;
    let path = written.store.path();
    std::fs::remove_file(&path).unwrap();
    written.refused().await;
    let Written { store, revision, .. } = written;
    store.close().await;
    let refused = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap_err();
    let StoreError::Corrupt { source, .. } = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("rescued"), "{source}");
    assert!(!path.exists());
    std::fs::rename(beside(&path, ".rescued"), &path).unwrap();
    let again = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap();
    assert_eq!(again.open(cluster()).await.unwrap().1.revision, revision);
}
