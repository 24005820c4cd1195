//! What a failure of the engine means to those above: try again, a person must look, or not known.

use std::fmt;

use orch_core::store::{CommitError, StoreError};
use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// What the engine said: its code and its sentence. The details that engines add are left out, since they quote rows.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) struct SqlFailure {
    /// SQLite's extended result code, or PostgreSQL's SQLSTATE; `None` where the engine did not answer at all.
    pub(crate) code: Option<String>,
    message: String,
}

impl SqlFailure {
    /// Whether the connection is dead, or the server is going away: a new connection may do.
    pub(crate) fn is_of_connection(&self) -> bool {
        self.code.as_ref().is_none_or(|code| code.starts_with("57P") || code.starts_with("08"))
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} (code {code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl From<DbErr> for SqlFailure {
    fn from(error: DbErr) -> Self {
        let runtime = match &error {
            DbErr::Conn(runtime) | DbErr::Exec(runtime) | DbErr::Query(runtime) => runtime,
            DbErr::ConnectionAcquire(_) => {
                return Self { code: None, message: "no connection to the database in time".to_owned() };
            }
            other => return Self { code: None, message: other.to_string() },
        };
        match runtime {
            RuntimeErr::SqlxError(error) => Self::from(&**error),
            other => Self { code: None, message: other.to_string() },
        }
    }
}

impl From<&sqlx::Error> for SqlFailure {
    fn from(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => Self {
                code: database.code().map(std::borrow::Cow::into_owned),
                message: database.message().to_owned(),
            },
            other => Self { code: None, message: other.to_string() },
        }
    }
}

/// A document that this version cannot read. Says where, never what.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// No JSON of the expected shape.
    #[error("{kind} at column {column}")]
    Document {
        /// What is wrong, in one word.
        kind: &'static str,
        /// Where in the document.
        column: usize,
    },
    /// The document is of another row.
    #[error("the document belongs to another row")]
    Misplaced,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        let kind = match error.classify() {
            Category::Io => "unreadable",
            Category::Syntax => "not JSON",
            Category::Data => "unexpected value",
            Category::Eof => "cut off",
        };
        Self::Document { kind, column: error.column() }
    }
}

/// The schema is from a later version.
#[derive(Debug, thiserror::Error)]
#[error(
    "its schema is version {found}, this program knows up to {known}: run the newer program, or restore a backup"
)]
pub(crate) struct TooNew {
    pub(crate) found: i64,
    pub(crate) known: i64,
}

pub(crate) fn corrupt(
    what: impl Into<String>,
    source: impl std::error::Error + Send + Sync + 'static,
) -> StoreError {
    StoreError::Corrupt { what: what.into(), source: Box::new(source) }
}

pub(crate) fn unavailable(error: impl Into<SqlFailure>) -> StoreError {
    StoreError::Unavailable(Box::new(error.into()))
}

pub(crate) fn not_written(error: impl Into<SqlFailure>) -> CommitError {
    CommitError::NotWritten(Box::new(error.into()))
}

#[cfg(test)]
impl SqlFailure {
    pub(crate) fn with_code(code: &str) -> Self {
        Self { code: Some(code.to_owned()), message: String::new() }
    }

    pub(crate) fn without_answer() -> Self {
        Self { code: None, message: String::new() }
    }
}
