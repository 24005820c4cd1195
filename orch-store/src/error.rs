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

/// What kind of trouble the engine is in, in words that callers may be told. What it said itself is the source, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.words())]
struct Trouble {
    #[source]
    failure: SqlFailure,
}

impl Trouble {
    /// SQLite's codes are numbers of up to four digits, whose low byte counts; PostgreSQL's have five characters.
    fn words(&self) -> &'static str {
        let Some(code) = self.failure.code.as_deref() else { return "the database does not answer" };
        match (code, code.parse::<u16>().map(|code| code & 0xff)) {
            ("53100", _) => "the disk of the database is full",
            ("25006", _) => "the database is read-only",
            ("42501", _) => "the database does not allow it to this user",
            ("55P03" | "40P01" | "57014", _) => "the database is locked by another program",
            (code, _) if code.len() == 5 => match &code[..2] {
                "53" => "the database lacks memory or connections",
                "57" | "08" => "the database is going down or coming up",
                "58" | "XX" => "the database fails",
                _ => "the database refuses it",
            },
            (_, Ok(5 | 6)) => "the database file is locked by another program",
            (_, Ok(8)) => "the database file is read-only",
            (_, Ok(10)) => "the disk of the database file fails",
            (_, Ok(11 | 26)) => "the database file is damaged",
            (_, Ok(13)) => "the disk of the database file is full",
            (_, Ok(14)) => "the database file cannot be opened",
            _ => "the database refuses it",
        }
    }
}

pub(crate) fn unavailable(error: impl Into<SqlFailure>) -> StoreError {
    StoreError::Unavailable(Box::new(Trouble { failure: error.into() }))
}

pub(crate) fn not_written(error: impl Into<SqlFailure>) -> CommitError {
    CommitError::NotWritten(Box::new(Trouble { failure: error.into() }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_trouble_has_its_words_and_the_engines_own_are_kept_for_the_log() {
        for (code, words) in [
            ("13", "full"),
            ("53100", "full"),
            ("8", "read-only"),
            ("1032", "read-only"),
            ("25006", "read-only"),
            ("5", "locked"),
            ("517", "locked"),
            ("55P03", "locked"),
            ("10", "fails"),
            ("3338", "fails"),
            ("26", "damaged"),
            ("57P01", "going down"),
            ("23505", "refuses"),
        ] {
            let told = Trouble { failure: SqlFailure::with_code(code) };
            assert!(told.to_string().contains(words), "{code}: {told}");
            assert!(std::error::Error::source(&told).is_some_and(|source| source.to_string().contains(code)));
        }
        assert_eq!(
            Trouble { failure: SqlFailure::without_answer() }.to_string(),
            "the database does not answer"
        );
    }
}
