//! What happens on PostgreSQL when servers compete and connections break.

use orch_core::cluster::{Revision, Transaction};
use orch_core::id::{ClusterId, IdStream};
use orch_core::secret::Secret;
use orch_core::store::{CommitError, EventFilter, History as _, Store as _, StoreError};
use orch_core::testing::contract::sample::Sample;
use orch_store::{PostgresOptions, SqlStore};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};

use crate::postgres_server::{options, schema, url};

fn cluster() -> ClusterId {
    IdStream::seeded(1).next()
}

fn group(seed: u64) -> [Transaction; 1] {
    [Transaction { changes: Sample::seeded(seed).every_row(), ..Transaction::default() }]
}

async fn store(schema: &str) -> SqlStore {
    SqlStore::postgres(options(schema)).await.expect("the store opens")
}

/// An operator's own connection.
async fn operator(schema: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url("postgres"));
    options.set_schema_search_path(schema);
    Database::connect(options).await.unwrap()
}

#[tokio::test]
async fn a_server_that_was_replaced_writes_nothing_however_late_it_tries() {
    let schema = schema();
    let (old, new) = (store(&schema).await, store(&schema).await);
    let (old_epoch, image) = old.open(cluster()).await.unwrap();
    old.commit(old_epoch, image.revision, &group(1)).await.unwrap();
    let (new_epoch, image) = new.open(cluster()).await.unwrap();
    assert_eq!((image.revision, image.rows.len()), (Revision(1), group(1)[0].changes.len()));
    for base in [Revision(1), Revision(2)] {
        let answer = old.commit(old_epoch, base, &group(2)).await;
        assert!(matches!(answer, Err(CommitError::Fenced { newest }) if newest == new_epoch), "{answer:?}");
    }
    assert_eq!(new.commit(new_epoch, Revision(1), &group(3)).await.unwrap(), Revision(2));
}

#[tokio::test]
async fn of_two_servers_that_write_at_once_only_the_newer_one_does() {
    let schema = schema();
    let (old, new) = (store(&schema).await, store(&schema).await);
    let (old_epoch, image) = old.open(cluster()).await.unwrap();
    let first = old.commit(old_epoch, image.revision, &group(1)).await.unwrap();
    let late = group(2);
    let (late, opened) = tokio::join!(old.commit(old_epoch, first, &late), new.open(cluster()));
    let (_, image) = opened.unwrap();
    match late {
        Ok(revision) => assert_eq!(image.revision, revision, "it was written before the newer one loaded"),
        Err(error) => {
            assert!(matches!(error, CommitError::Fenced { .. }), "{error:?}");
            assert_eq!(image.revision, first);
        }
    }
}

#[tokio::test]
async fn servers_that_start_at_once_agree_on_schema_and_cluster() {
    let schema = schema();
    let stores = futures_util::future::join_all((0..4).map(|_| store(&schema))).await;
    let opened =
        futures_util::future::join_all((0..).zip(&stores).map(|(n, s)| s.open(IdStream::seeded(n).next())))
            .await;
    let opened: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    assert!(opened.iter().all(|(_, image)| image.cluster == opened[0].1.cluster));
    let mut epochs: Vec<_> = opened.iter().map(|(epoch, _)| epoch.0).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3, 4]);
}

#[tokio::test]
async fn connections_that_died_between_groups_cost_nobody_a_group() {
    // A database of its own, by which its connections are known.
    let name = schema();
    let operator = Database::connect(url("postgres")).await.unwrap();
    operator.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let store = SqlStore::postgres(PostgresOptions::new(Secret::new(url(&name)))).await.unwrap();
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let revision = store.commit(epoch, image.revision, &group(1)).await.unwrap();
    let all = EventFilter { limit: 10, ..EventFilter::default() };
    store.events(&all).await.unwrap();
    let kill = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let killed = operator.execute_unprepared(&kill).await.unwrap().rows_affected();
    assert!(killed >= 2, "one that writes and one that reads, not {killed}");
    assert_eq!(store.commit(epoch, revision, &group(2)).await.unwrap(), Revision(2));
    assert_eq!(store.events(&all).await.unwrap(), []);
}

/// Makes the commit of everything that writes a node run `body`, which is PL/pgSQL.
async fn at_commit(operator: &DatabaseConnection, body: &str) {
    let sql = format!(
        "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE ON node
         DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
    );
    operator.execute_unprepared(&sql).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_at_commit_leaves_it_unknown_and_opening_again_tells() {
    let schema = schema();
    let store = store(&schema).await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let operator = operator(&schema).await;
    at_commit(&operator, "PERFORM pg_terminate_backend(pg_backend_pid())").await;
    let answer = store.commit(epoch, image.revision, &group(1)).await;
    assert!(matches!(answer, Err(CommitError::Unknown(_))), "{answer:?}");
    operator.execute_unprepared("DROP TRIGGER at_commit ON node").await.unwrap();
    let (epoch, image) = store.open(cluster()).await.unwrap();
    assert_eq!((image.revision, image.rows.len()), (Revision(0), 0));
    store.commit(epoch, image.revision, &group(1)).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_the_server_refuses_left_nothing_and_the_writer_goes_on() {
    let schema = schema();
    let store = store(&schema).await;
    let (epoch, image) = store.open(cluster()).await.unwrap();
    let operator = operator(&schema).await;
    at_commit(&operator, "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'").await;
    let answer = store.commit(epoch, image.revision, &group(1)).await;
    assert!(matches!(answer, Err(CommitError::NotWritten(_))), "{answer:?}");
    operator.execute_unprepared("DROP TRIGGER at_commit ON node").await.unwrap();
    assert_eq!(store.commit(epoch, image.revision, &group(1)).await.unwrap(), Revision(1));
}

#[tokio::test]
async fn a_missing_table_is_called_corrupt_and_a_wrong_address_unavailable() {
    let schema = schema();
    let store = store(&schema).await;
    store.open(cluster()).await.unwrap();
    operator(&schema).await.execute_unprepared("DROP TABLE task").await.unwrap();
    let error = store.open(cluster()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");

    let nowhere = Secret::new("postgres://orch:hunter2@localhost/orch?host=/no/such".to_owned());
    let error = SqlStore::postgres(PostgresOptions::new(nowhere)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
}
