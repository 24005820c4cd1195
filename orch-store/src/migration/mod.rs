//! Migrations: numbered SQL for each engine, each in a transaction of its own, recorded in `schema_version`.

use orch_core::store::StoreError;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, TransactionTrait, Value,
};

use crate::engine::{Engine, WRITING};
use crate::error::{SqlFailure, TooNew, corrupt};
use crate::statement::raw;

/// One step. Its number is its place in the list, from 1. Steps that were released are never changed.
#[derive(Clone, Copy)]
struct Step {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        name: "state and history",
        sqlite: include_str!("sqlite/0001_state_and_history.sql"),
        postgres: include_str!("postgres/0001_state_and_history.sql"),
    },
    Step {
        name: "the service of an event",
        sqlite: include_str!("sqlite/0002_service_of_event.sql"),
        postgres: include_str!("postgres/0002_service_of_event.sql"),
    },
    Step {
        name: "enrolment tokens",
        sqlite: include_str!("sqlite/0003_enrollment_tokens.sql"),
        postgres: include_str!("postgres/0003_enrollment_tokens.sql"),
    },
    Step {
        name: "users and their API tokens",
        sqlite: include_str!("sqlite/0004_users.sql"),
        postgres: include_str!("postgres/0004_users.sql"),
    },
];

/// The number of the last step.
pub(crate) const LATEST: u32 = STEPS.len() as u32;

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS schema_version (
    version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// Any number that nothing else in the database locks: `orch` in ASCII.
pub(crate) const ADVISORY_LOCK: i64 = 0x6f72_6368;

/// Brings the schema up to date.
pub(crate) async fn run(engine: &dyn Engine, writer: &DatabaseConnection) -> Result<(), StoreError> {
    run_steps(engine, writer, STEPS).await
}

async fn run_steps(
    engine: &dyn Engine,
    writer: &DatabaseConnection,
    steps: &[Step],
) -> Result<(), StoreError> {
    let latest = i64::try_from(steps.len()).expect("there are few steps");
    let failed = |error: DbErr| engine.read_failure(SqlFailure::from(error));
    let before = {
        let transaction = begin(engine, writer).await.map_err(failed)?;
        let version = version(&transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        version
    };
    if before > latest {
        return Err(corrupt("the schema", TooNew { found: before, known: latest }));
    }
    if before == latest {
        return Ok(());
    }
    if before > 0 {
        engine.before_migration(writer, before).await?;
    }
    for (number, step) in (1..).zip(steps).filter(|(number, _)| *number > before) {
        take(engine, writer, number, step).await.map_err(failed)?;
    }
    tracing::info!(from = before, to = latest, "the schema was brought up to date");
    Ok(())
}

async fn take(
    engine: &dyn Engine,
    writer: &DatabaseConnection,
    number: i64,
    step: &Step,
) -> Result<(), DbErr> {
    let transaction = begin(engine, writer).await?;
    // Another server may have been faster.
    if version(&transaction).await? < number {
        let sql = if engine.backend() == DbBackend::Postgres { step.postgres } else { step.sqlite };
        transaction.execute_unprepared(sql).await?;
        let values: [Value; 2] = [number.into(), step.name.into()];
        let record =
            raw(engine.backend(), "INSERT INTO schema_version (version, name) VALUES (?, ?)", values);
        transaction.execute_raw(record).await?;
    }
    transaction.commit().await
}

/// A transaction that no other migration runs beside.
async fn begin(engine: &dyn Engine, writer: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let transaction = writer.begin_with_options(WRITING).await?;
    if engine.backend() == DbBackend::Postgres {
        let lock = raw(engine.backend(), "SELECT pg_advisory_xact_lock(?)", [ADVISORY_LOCK.into()]);
        transaction.execute_raw(lock).await?;
    }
    transaction.execute_unprepared(VERSIONS).await?;
    Ok(transaction)
}

/// The version of the schema that a database has, read without making or changing anything; 0 where there is none.
pub(crate) async fn look(connection: &DatabaseConnection) -> Result<i64, DbErr> {
    let backend = connection.get_database_backend();
    let there = match backend {
        DbBackend::Postgres => "SELECT to_regclass('schema_version') IS NOT NULL AS there",
        _ => "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'schema_version') AS there",
    };
    let there = connection.query_one_raw(raw(backend, there, [])).await?;
    match there.map(|row| row.try_get("", "there")).transpose()? {
        Some(true) => version(connection).await,
        _ => Ok(0),
    }
}

async fn version(connection: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let newest = raw(
        connection.get_database_backend(),
        "SELECT COALESCE(MAX(version), 0) AS version FROM schema_version",
        [],
    );
    connection.query_one_raw(newest).await?.map_or(Ok(0), |row| row.try_get("", "version"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Sqlite, SqliteOptions};

    const LATER: Step = Step { name: "later", sqlite: "CREATE TABLE later (id INTEGER)", postgres: "" };
    const BROKEN: Step = Step {
        name: "broken",
        sqlite: "CREATE TABLE half (id INTEGER); INSERT INTO no_such_table VALUES (1)",
        postgres: "",
    };

    fn released_and(more: &[Step]) -> Vec<Step> {
        [STEPS, more].concat()
    }

    async fn count(writer: &DatabaseConnection, sql: &str) -> i64 {
        let row = writer.query_one_raw(raw(DbBackend::Sqlite, sql, [])).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    #[tokio::test]
    async fn steps_are_taken_once_and_an_existing_database_is_copied_before() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Sqlite::new(SqliteOptions::new(folder.path().join("orch.db"))).await.unwrap();
        let copy = folder.path().join(format!("orch.db.before-migration-from-{LATEST}"));
        let writer = engine.writer().await.unwrap();
        for _ in 0..2 {
            run(&engine, &writer).await.unwrap();
            assert!(!copy.exists(), "a new database needs no copy");
        }
        for _ in 0..2 {
            run_steps(&engine, &writer, &released_and(&[LATER])).await.unwrap();
            assert_eq!(count(&writer, "SELECT COUNT(*) FROM schema_version").await, i64::from(LATEST) + 1);
        }
        assert!(copy.exists());
        // The older program refuses the newer schema, and starts from the copy.
        assert!(matches!(run(&engine, &writer).await, Err(StoreError::Corrupt { .. })));
        let older = Sqlite::new(SqliteOptions::new(copy)).await.unwrap();
        run(&older, &older.writer().await.unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_nothing_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Sqlite::new(SqliteOptions::new(folder.path().join("orch.db"))).await.unwrap();
        let writer = engine.writer().await.unwrap();
        assert!(run_steps(&engine, &writer, &released_and(&[LATER, BROKEN])).await.is_err());
        assert_eq!(count(&writer, "SELECT MAX(version) FROM schema_version").await, i64::from(LATEST) + 1);
        assert_eq!(count(&writer, "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'half'").await, 0);
        run_steps(&engine, &writer, &released_and(&[LATER])).await.unwrap();
    }
}
