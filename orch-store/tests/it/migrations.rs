//! Stores that an earlier version filled are brought up to date with what is in them. The tables and rows are those of the
//! release: steps that were released are never changed.

use orch_core::id::{ClusterId, IdStream, ServiceId};
use orch_core::store::{EventFilter, EventSeq, History, Store as _};
use orch_core::testing::contract::sample::Sample;
use orch_store::{SCHEMA_VERSION, SqlStore, SqliteOptions, StoreUrl, schema_version};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection};

use crate::postgres_server::{self, schema, url};
use crate::sqlite_file;

const WEB: &str = "5e000000-0000-4000-8000-000000000001";
const OTHER: &str = "5e000000-0000-4000-8000-000000000002";
const TASK: &str = "7a000000-0000-4000-8000-000000000001";

const VERSIONS: &str = "CREATE TABLE schema_version (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO schema_version (version, name) VALUES (1, 'state and history')";

/// An event as version 1 wrote it.
fn event(ordinal: u32, kind: &str, related: Option<(&str, &str)>, message: &str, details: &str) -> String {
    let (of, id) = related.unzip();
    let quoted = |text: Option<&str>| text.map_or("NULL".to_owned(), |text| format!("'{text}'"));
    let about = related.map_or("null".to_owned(), |(of, id)| format!(r#"{{"type":"{of}","id":"{id}"}}"#));
    let doc = format!(
        r#"{{"id":"e0000000-0000-4000-8000-00000000000{ordinal}","namespace":"shop","kind":"{kind}","severity":"info","message":"{message}","related":{about},"details":{{{details}}},"at":1767323045000000}}"#
    );
    format!(
        "INSERT INTO event VALUES (1, {ordinal}, 1767323045000000, '{kind}', 'info', 'shop', {}, {}, '{doc}');",
        quoted(of),
        quoted(id)
    )
}

/// Rows of version 1: events of each kind, an odd one among them, and the task that one of them is about.
fn rows() -> String {
    let mut task = Sample::seeded(1).task(TASK.parse().unwrap(), WEB.parse().unwrap(), None);
    task.note = Some("a note".to_owned());
    let task = serde_json::to_string(&task).unwrap();
    let of_web = format!(r#""attempt":"2","service_id":"{WEB}""#);
    // A text that looks like a name, and a NUL, which PostgreSQL's JSON functions refuse.
    let odd = format!(r#"\"service_id\":\"{OTHER}\" \u0000"#);
    [
        "INSERT INTO lease VALUES (1, '5c000000-0000-4000-8000-000000000001', 1, 1);".to_owned(),
        format!("INSERT INTO task VALUES ('{TASK}', '{task}');"),
        event(0, "service.created", Some(("service", WEB)), "made", ""),
        event(1, "task.failed", Some(("task", "7a000000-0000-4000-8000-000000000009")), "failed", &of_web),
        event(2, "reconciler.task.created", Some(("task", TASK)), "is started", ""),
        event(3, "node.registered", Some(("node", "40000000-0000-4000-8000-000000000001")), &odd, ""),
        event(4, "service.created", Some(("service", OTHER)), "made", ""),
        event(5, "server.insecure", None, "no protection", ""),
    ]
    .concat()
}

async fn fill(db: &DatabaseConnection, tables: &str) {
    for sql in [tables, VERSIONS, &rows()] {
        db.execute_unprepared(sql).await.unwrap();
    }
}

/// All events are there, and those of the service are found by it, forwards and backwards.
async fn check(history: &dyn History) {
    let all = EventFilter { limit: 100, ..EventFilter::default() };
    assert_eq!(history.events(&all).await.unwrap().len(), 6);
    for (service, expected) in [(WEB, vec![0, 1, 2]), (OTHER, vec![4])] {
        let service: Option<ServiceId> = Some(service.parse().unwrap());
        let of_it = EventFilter { service, ..all.clone() };
        let found = history.events_after(EventSeq::default(), &of_it).await.unwrap();
        assert_eq!(found.iter().map(|(seq, _)| seq.ordinal).collect::<Vec<_>>(), expected);
        assert_eq!(history.events(&of_it).await.unwrap().len(), expected.len());
    }
}

fn cluster() -> ClusterId {
    IdStream::seeded(1).next()
}

#[tokio::test]
async fn an_sqlite_store_of_version_1_finds_the_events_of_a_service_after_a_copy_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = sqlite_file::path(&folder);
    let db = Database::connect(format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    fill(&db, include_str!("../../src/migration/sqlite/0001_state_and_history.sql")).await;
    db.close().await.unwrap();
    let store = SqlStore::sqlite(SqliteOptions::new(&path)).await.unwrap();
    check(&store).await;
    assert_eq!(store.open(cluster()).await.unwrap().1.rows.len(), 1);
    store.close().await;

    // The copy is the store as it was, and is brought up to date like it.
    let copy = folder.path().join("orch.db.before-migration-from-1");
    assert_eq!(schema_version(&StoreUrl::Sqlite(copy.clone())).await.unwrap(), 1);
    let store = SqlStore::sqlite(SqliteOptions::new(&copy)).await.unwrap();
    check(&store).await;
    store.close().await;
    assert_eq!(schema_version(&StoreUrl::Sqlite(copy)).await.unwrap(), SCHEMA_VERSION);
}

#[tokio::test]
async fn a_postgres_store_of_version_1_finds_the_events_of_a_service() {
    let schema = schema();
    let mut options = ConnectOptions::new(url("postgres"));
    options.set_schema_search_path(&schema);
    let db = Database::connect(options).await.unwrap();
    db.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    fill(&db, include_str!("../../src/migration/postgres/0001_state_and_history.sql")).await;
    let store = SqlStore::postgres(postgres_server::options(&schema)).await.unwrap();
    check(&store).await;
    assert_eq!(store.open(cluster()).await.unwrap().1.rows.len(), 1);
}
