//! What an SQLite store does with its file: who may open it, what it says when the file is not right, how it grows.

use std::os::unix::fs::PermissionsExt as _;

use orch_core::cluster::{Revision, Transaction};
use orch_core::id::{ClusterId, IdStream};
use orch_core::record::EventKind;
use orch_core::store::{CommitError, Epoch, EventFilter, History as _, Store as _, StoreError};
use orch_core::testing::contract::sample::{NOW, Sample};
use orch_core::time::Timestamp;
use orch_store::{BackupError, SqlStore, SqliteOptions, StoreUrl, backup};
use sea_orm::{ConnectionTrait as _, Database};

use crate::sqlite_file::{InFolder, fresh, open};

fn cluster() -> ClusterId {
    IdStream::seeded(1).next()
}

fn group(sample: &mut Sample) -> [Transaction; 1] {
    let events = vec![sample.event(EventKind::ServiceCreated, None, NOW)];
    [Transaction { changes: sample.every_row(), events, ..Transaction::default() }]
}

/// How many rows so many groups leave: the namespace and the receipt are the same each time.
fn rows_after(revision: Revision) -> usize {
    let shared = 2;
    let own = Sample::seeded(1).every_row().len() - shared;
    usize::try_from(revision.0).unwrap() * own + if revision.0 == 0 { 0 } else { shared }
}

/// Changes a closed store's file behind its back.
async fn tamper(path: &std::path::Path, sql: &str) {
    let db = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[tokio::test]
async fn nobody_but_the_owner_can_read_the_files() {
    let store = fresh().await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    store.commit(epoch, image.revision, &group(&mut Sample::seeded(1))).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(store.folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(names.iter().any(|name| name.ends_with("orch.db-wal")), "{names:?}");
    for name in names {
        let mode = name.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", name.display());
    }
}

#[tokio::test]
async fn a_file_that_others_could_read_is_taken_away_from_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = crate::sqlite_file::path(&folder);
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(folder, |options| options).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    store.open(cluster()).await.unwrap();
}

#[tokio::test]
async fn a_second_store_on_the_same_file_is_refused_until_the_first_is_closed() {
    let store = fresh().await;
    store.open(cluster()).await.unwrap();
    let second = SqlStore::sqlite(SqliteOptions::new(store.path())).await;
    let error = second.expect_err("the file is in use");
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(reasons(&error).contains("in use by another process"), "{}", reasons(&error));
    let store = store.reopened().await;
    assert_eq!(store.open(cluster()).await.unwrap().0, Epoch(2));
}

#[tokio::test]
async fn a_store_that_was_dropped_can_be_opened_again_at_once() {
    // A checkpoint after each group, so that upkeep may still be running when the store is dropped.
    let mut store = open(tempfile::tempdir().unwrap(), |options| options.checkpoint_pages(1)).await;
    let mut sample = Sample::seeded(9);
    for round in 0..10 {
        let (epoch, image) = store.open(cluster()).await.unwrap();
        assert_eq!(image.revision, Revision(round));
        store.commit(epoch, image.revision, &group(&mut sample)).await.unwrap();
        store = open(store.dropped(), |options| options.checkpoint_pages(1)).await;
    }
}

#[tokio::test]
async fn a_closed_store_refuses_to_read_and_to_write() {
    let store = fresh().await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    store.close().await;
    assert!(store.events(&EventFilter { limit: 1, ..EventFilter::default() }).await.is_err());
    let answer = store.commit(epoch, image.revision, &group(&mut Sample::seeded(1))).await;
    assert!(matches!(answer, Err(CommitError::NotWritten(_))), "{answer:?}");
    assert!(store.open(cluster()).await.is_err());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_in_the_error() {
    let error = SqlStore::sqlite(SqliteOptions::new("/no/such/folder/orch.db")).await.unwrap_err();
    assert!(reasons(&error).contains("/no/such/folder/orch.db"), "{}", reasons(&error));
}

#[tokio::test]
async fn a_schema_from_a_later_version_is_refused_by_its_number() {
    let store = fresh().await;
    store.close().await;
    let path = store.path();
    tamper(&path, "INSERT INTO schema_version (version, name) VALUES (99, 'later')").await;
    let error = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(reasons(&error).contains("version 99"), "{}", reasons(&error));
}

async fn filled() -> InFolder {
    let store = fresh().await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    store.commit(epoch, image.revision, &group(&mut Sample::seeded(2))).await.unwrap();
    store
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_without_its_content() {
    for (sql, table) in [
        ("UPDATE task SET doc = '{\"id\": \"hunter2\"}'", "task "),
        ("UPDATE credential SET doc = 'hunter2'", "credential "),
        ("UPDATE node SET doc = substr(doc, 1, 40)", "node "),
        ("UPDATE service SET id = '00000000-0000-4000-8000-000000000000'", "service 00000000-"),
        ("UPDATE receipt SET idempotency_key = 'other'", "receipt "),
        ("UPDATE lease SET cluster = 'hunter2'", "the cluster's id"),
    ] {
        let store = filled().await;
        store.close().await;
        tamper(&store.path(), sql).await;
        let store = store.reopened().await;
        let error = store.open(cluster()).await.unwrap_err();
        let StoreError::Corrupt { what, .. } = &error else { panic!("{sql}: {error:?}") };
        assert!(what.starts_with(table), "{sql}: {what}");
        assert!(!format!("{error:?} {}", reasons(&error)).contains("hunter2"), "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_named() {
    let store = filled().await;
    store.close().await;
    tamper(&store.path(), "UPDATE event SET doc = '{}'").await;
    let store = store.reopened().await;
    let error = store.events(&EventFilter { limit: 9, ..EventFilter::default() }).await.unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what, .. } if what == "event 1.0"), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = crate::sqlite_file::path(&folder);
    std::fs::write(&path, "this is no database, and it is longer than the header of one".repeat(99)).unwrap();
    let error = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_log_without_its_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = crate::sqlite_file::path(&folder);
    let log = folder.path().join("orch.db-wal");
    std::fs::write(&log, "what was acknowledged last").unwrap();
    let error = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(reasons(&error).contains("missing while its log"), "{}", reasons(&error));
    assert!(!path.exists());
    assert_eq!(std::fs::read_to_string(log).unwrap(), "what was acknowledged last");
}

#[tokio::test]
async fn a_full_disk_is_said_and_got_over_without_a_restart() {
    let store =
        open(tempfile::tempdir().unwrap(), |options| options.with_pragma("max_page_count", "200")).await;
    let (epoch, mut image) = store.open(cluster()).await.unwrap();
    let mut sample = Sample::seeded(3);
    let mut events = |count: usize| {
        let events = (0..count).map(|_| sample.event(EventKind::ServiceCreated, None, NOW)).collect();
        [Transaction { events, ..Transaction::default() }]
    };
    let refused = loop {
        match store.commit(epoch, image.revision, &events(200)).await {
            Ok(revision) => image.revision = revision,
            Err(error) => break error,
        }
        assert!(image.revision < Revision(100), "the file never became full");
    };
    assert!(matches!(refused, CommitError::NotWritten(_)), "{refused:?}");
    assert!(reasons(&refused).contains("full"), "{}", reasons(&refused));
    // Nothing of the group is there, history is still answered, and room made by pruning is used at once.
    let all = EventFilter { limit: usize::MAX, ..EventFilter::default() };
    assert_eq!(store.events(&all).await.unwrap().len() as u64, 200 * image.revision.0);
    let removed = store.prune(NOW + std::time::Duration::from_secs(1), Timestamp::ZERO).await.unwrap();
    assert_eq!(removed, 200 * image.revision.0);
    let next = store.commit(epoch, image.revision, &events(200)).await.unwrap();
    assert_eq!(next, image.revision.next());
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_said_and_got_over_without_a_restart() {
    let options = |options: SqliteOptions| options.with_pragma("busy_timeout", "50");
    let store = open(tempfile::tempdir().unwrap(), options).await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let mut sample = Sample::seeded(4);
    // Another program holds the write lock, for longer than the store waits.
    let other = Database::connect(format!("sqlite://{}", store.path().display())).await.unwrap();
    let lock = sea_orm::TransactionTrait::begin_with_options(
        &other,
        sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Immediate),
            ..Default::default()
        },
    );
    let lock = lock.await.unwrap();
    let refused = store.commit(epoch, image.revision, &group(&mut sample)).await.unwrap_err();
    assert!(matches!(refused, CommitError::NotWritten(_)), "{refused:?}");
    lock.rollback().await.unwrap();
    store.commit(epoch, image.revision, &group(&mut sample)).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_the_engine_refuses_left_nothing_and_the_writer_goes_on() {
    let store = fresh().await;
    store.close().await;
    // A constraint that is checked at COMMIT, when all statements have gone well.
    let refusing = "CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER refuse AFTER INSERT ON task WHEN NEW.doc LIKE '%bad note%'
        BEGIN INSERT INTO child VALUES (42); END";
    tamper(&store.path(), refusing).await;
    let store = store.reopened().await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let mut sample = Sample::seeded(8);
    let (task, service) = (sample.id(), sample.id());
    let mut bad = sample.task(task, service, None);
    bad.note = Some("bad note".to_owned());
    let bad = [Transaction { changes: vec![bad.into()], ..Transaction::default() }];
    let refused = store.commit(epoch, image.revision, &bad).await.unwrap_err();
    assert!(matches!(refused, CommitError::NotWritten(_)), "{refused:?}");
    let revision = store.commit(epoch, image.revision, &group(&mut sample)).await.unwrap();
    assert_eq!(revision, Revision(1));
    assert_eq!(store.open(cluster()).await.unwrap().1.rows.len(), group(&mut sample)[0].changes.len());
}

#[tokio::test]
async fn the_log_is_brought_into_the_database_between_groups_and_stays_short() {
    let store = open(tempfile::tempdir().unwrap(), |options| options.checkpoint_pages(64)).await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let (mut sample, mut revision) = (Sample::seeded(5), image.revision);
    for _ in 0..300 {
        revision = store.commit(epoch, revision, &group(&mut sample)).await.unwrap();
    }
    let mut log = store.path().into_os_string();
    log.push("-wal");
    let bytes = std::fs::metadata(&log).unwrap().len();
    // Each group writes about 20 pages; 300 of them would be 25 MB.
    assert!(bytes < 2 * 1024 * 1024, "the log has {bytes} bytes");
    let store = store.reopened().await;
    assert_eq!(store.open(cluster()).await.unwrap().1.rows.len(), rows_after(revision));
}

#[tokio::test]
async fn a_backup_is_made_while_the_store_writes_and_starts_as_a_store() {
    let store = filled().await;
    let url = StoreUrl::Sqlite(store.path());
    let to = store.folder.path().join("backup.db");
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let mut sample = Sample::seeded(6);
    let groups: Vec<_> = (0..20).map(|_| group(&mut sample)).collect();
    let writes = async {
        let mut revision = image.revision;
        for group in &groups {
            revision = store.commit(epoch, revision, group).await.unwrap();
        }
        revision
    };
    let (report, last) = tokio::join!(backup(&url, &to), writes);
    let report = report.unwrap();
    assert!(report.revision >= image.revision && report.revision <= last, "{report:?}");
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(to.metadata().unwrap().len(), report.bytes);
    assert!(matches!(backup(&url, &to).await, Err(BackupError::Exists(path)) if path == to));

    let restored = SqlStore::sqlite(SqliteOptions::new(&to)).await.unwrap();
    let (restored_epoch, restored) = restored.open(IdStream::seeded(9).next()).await.unwrap();
    assert_eq!((restored.cluster, restored.revision), (cluster(), report.revision));
    assert_eq!(restored.rows.len(), rows_after(report.revision));
    assert!(restored_epoch > Epoch(1), "who starts from a backup has a newer epoch than the backup's writer");
}

#[tokio::test]
async fn a_backup_of_nothing_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("none.db"), folder.path().join("backup.db"));
    assert!(matches!(backup(&StoreUrl::Sqlite(from), &to).await, Err(BackupError::Database(_))));
    let url = "postgres://orch@localhost/orch".parse().unwrap();
    assert!(matches!(backup(&url, &to).await, Err(BackupError::NotSqlite)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_commit_that_is_dropped_half_way_leaves_a_store_that_can_be_opened_again() {
    let store = fresh().await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let mut sample = Sample::seeded(7);
    let mut known = image.revision;
    let (mut epoch, mut written, mut lost) = (epoch, 0, 0);
    for polls in 0..60 {
        let group = group(&mut sample);
        let mut commit = store.commit(epoch, known, &group);
        // Dropped after so many polls, which is at another await point each time.
        let mut finished = false;
        for _ in 0..polls {
            if futures_util::poll!(&mut commit).is_ready() {
                finished = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(commit);
        let (next, image) = store.open(cluster()).await.unwrap();
        assert!(image.revision == known || image.revision == known.next(), "whole or not at all");
        assert!(!finished || image.revision == known.next(), "what was acknowledged is there");
        assert_eq!(image.rows.len(), rows_after(image.revision));
        if image.revision == known {
            lost += 1
        } else {
            written += 1
        }
        (epoch, known) = (next, image.revision);
    }
    assert!(lost > 0, "no drop came early enough to matter ({written} written)");
}
