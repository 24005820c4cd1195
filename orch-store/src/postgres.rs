//! PostgreSQL: connecting, and what its errors mean.

use std::time::Duration;

use async_trait::async_trait;
use orch_core::secret::Secret;
use orch_core::store::StoreError;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr};

use crate::engine::Engine;
use crate::error::{SqlFailure, corrupt, unavailable};
use crate::migration::ADVISORY_LOCK;

/// How long a connection is waited for.
const CONNECT: Duration = Duration::from_secs(5);
/// Connections that read history.
const READERS: u32 = 4;

/// Where and how a PostgreSQL store is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    url: Secret<String>,
    schema: Option<String>,
}

impl PostgresOptions {
    /// The database that a `postgres://` URL names.
    #[must_use]
    pub fn new(url: Secret<String>) -> Self {
        Self { url, schema: None }
    }

    /// In a schema of its own, which is made where there is none: several clusters, or several tests, in one database.
    ///
    /// # Panics
    /// The name has other characters than `a`-`z`, `0`-`9` and `_`.
    #[must_use]
    pub fn schema(mut self, name: &str) -> Self {
        assert!(
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "a schema's name is of a-z, 0-9 and _"
        );
        self.schema = Some(name.to_owned());
        self
    }
}

/// The engine over one database.
pub(crate) struct Postgres {
    options: PostgresOptions,
}

impl Postgres {
    pub(crate) const fn new(options: PostgresOptions) -> Self {
        Self { options }
    }

    /// Statements are neither logged nor traced: they hold rows.
    fn connect_options(
        &self,
        connections: u32,
        settings: &'static [(&'static str, &'static str)],
    ) -> ConnectOptions {
        let schema = self.options.schema.clone();
        let mut options = ConnectOptions::new(self.options.url.expose().clone());
        options
            .max_connections(connections)
            .acquire_timeout(CONNECT)
            .sqlx_logging(false)
            .record_stmt_in_spans(false)
            .map_sqlx_postgres_opts(move |postgres| {
                let postgres = postgres
                    .application_name("orch")
                    .statement_cache_capacity(256)
                    .options(settings.iter().copied());
                match &schema {
                    Some(schema) => postgres.options([("search_path", schema)]),
                    None => postgres,
                }
            });
        options
    }
}

#[async_trait]
impl Engine for Postgres {
    fn backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    async fn writer(&self) -> Result<DatabaseConnection, StoreError> {
        let mut options = self.connect_options(
            1,
            &[
                ("synchronous_commit", "on"),
                ("lock_timeout", "5s"),
                // A paused server must not hold the lease's row for ever.
                ("idle_in_transaction_session_timeout", "10s"),
                ("statement_timeout", "60s"),
            ],
        );
        options.min_connections(1).idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
        // A dead connection is noticed at BEGIN, without a trip to the server for every group.
        options.test_before_acquire(false);
        let writer = Database::connect(options).await.map_err(unavailable)?;
        if let Some(schema) = &self.options.schema {
            // One message, so one transaction; IF NOT EXISTS alone fails where two make it at once.
            let make = format!(
                "SELECT pg_advisory_xact_lock({ADVISORY_LOCK}); CREATE SCHEMA IF NOT EXISTS {schema}"
            );
            writer.execute_unprepared(&make).await.map_err(unavailable)?;
        }
        Ok(writer)
    }

    async fn readers(&self) -> Result<DatabaseConnection, StoreError> {
        let options = self.connect_options(
            READERS,
            &[("default_transaction_read_only", "on"), ("statement_timeout", "30s")],
        );
        Database::connect(options).await.map_err(unavailable)
    }

    async fn before_migration(&self, _: &DatabaseConnection, version: i64) -> Result<(), StoreError> {
        tracing::info!(from = version, "the schema is changed; backups of PostgreSQL are made with pg_dump");
        Ok(())
    }

    fn commit_left_nothing(&self, failure: &SqlFailure) -> bool {
        // The server answered that it rolled back: integrity, serialisation, resources, cancellation. Anything else
        // (it shut down, the connection broke, 40003 "completion unknown") may have come after the commit.
        failure.code.as_deref().is_some_and(|code| {
            code == "57014"
                || (code != "40003" && matches!(code.get(..2), Some("23" | "25" | "40" | "53" | "55")))
        })
    }

    fn read_failure(&self, failure: SqlFailure) -> StoreError {
        match failure.code.as_deref() {
            Some(code) if code.starts_with("42") && code != "42501" => corrupt("the schema", failure),
            Some("XX001" | "XX002") => corrupt("the database", failure),
            _ => unavailable(failure),
        }
    }

    fn wrote(&self, _: usize) -> bool {
        false // its own background writers see to it
    }

    async fn tidy(&self, _: &DatabaseConnection) -> Result<(), DbErr> {
        Ok(())
    }

    fn closed(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_at_commit_are_sure_to_have_left_nothing() {
        let engine = Postgres::new(PostgresOptions::new(Secret::new("postgres://localhost".to_owned())));
        let left_nothing = |code| engine.commit_left_nothing(&SqlFailure::with_code(code));
        assert!(["23505", "40001", "40P01", "53100", "57014", "55P03"].iter().all(|code| left_nothing(code)));
        assert!(!["40003", "57P01", "08006", "XX000", "58030", ""].iter().any(|code| left_nothing(code)));
        assert!(!engine.commit_left_nothing(&SqlFailure::without_answer()));
    }
}
