//! SQLite: opening, checkpoints, and what its errors mean.

mod place;

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use orch_core::store::StoreError;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, TransactionTrait,
};

use crate::backup;
use crate::engine::Engine;
use crate::error::{SqlFailure, corrupt, unavailable};
use crate::statement::raw;
use place::Place;

/// How long a connection waits for another one's lock. There is one writer, so only a backup can be in the way.
const BUSY: Duration = Duration::from_secs(5);
/// How long a process that is just ending, or a store that was just dropped, is waited for, and how often it is looked at.
const PREDECESSOR: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(10);
/// Connections that read history.
const READERS: u32 = 4;
/// A checkpoint waits for readers once the log is so many times longer than it should be.
const PATIENCE: i64 = 8;

/// Where and how an SQLite store is opened.
#[derive(Clone, Debug)]
pub struct SqliteOptions {
    path: PathBuf,
    checkpoint_pages: u32,
    synchronous: SqliteSynchronous,
    pragmas: Vec<(&'static str, String)>,
}

impl SqliteOptions {
    /// The database in this file. The folder must exist; the file is made where there is none, readable by its owner
    /// only.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            checkpoint_pages: 4096,
            synchronous: SqliteSynchronous::Full,
            pragmas: Vec::new(),
        }
    }

    /// How many pages of 4 KiB the write-ahead log may hold before they are brought into the database, between two
    /// groups. 4096 (16 MiB) unless given.
    #[must_use]
    pub fn checkpoint_pages(mut self, pages: u32) -> Self {
        self.checkpoint_pages = pages.max(1);
        self
    }

    /// Gives up durability: only to see that the tests of durability fail without it.
    #[doc(hidden)]
    #[must_use]
    pub fn losing_writes_on_power_cut(mut self) -> Self {
        self.synchronous = SqliteSynchronous::Normal;
        self
    }

    /// Another setting of the writing connection: only for tests of what the engine refuses.
    #[doc(hidden)]
    #[must_use]
    pub fn with_pragma(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.pragmas.push((name, value.into()));
        self
    }
}

/// The engine over one file.
pub(crate) struct Sqlite {
    options: SqliteOptions,
    /// Held while the store is open: a second process is refused. Beside the database, since closing another handle of
    /// the database itself would drop SQLite's own locks.
    lock: Mutex<Option<File>>,
    place: Place,
    unchecked_rows: AtomicUsize,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {doing}", path.display())]
struct FileError {
    path: PathBuf,
    doing: &'static str,
    #[source]
    source: io::Error,
}

fn file_error(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Unavailable(Box::new(FileError { path: path.to_owned(), doing, source }))
}

impl Sqlite {
    pub(crate) async fn new(options: SqliteOptions) -> Result<Self, StoreError> {
        let lock = lock(&options.path).await?;
        refuse_to_lose_the_log(&options.path)?;
        make_private(&options.path)?;
        let place = Place::new(&options.path);
        Ok(Self { options, lock: Mutex::new(Some(lock)), place, unchecked_rows: AtomicUsize::new(0) })
    }

    /// How much may be written before the length of the log is looked at: looking costs a trip to the connection.
    fn rows_between_checks(&self) -> usize {
        (self.options.checkpoint_pages as usize / 8).clamp(1, 512)
    }
}

async fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(file_error(&name, "the lock file cannot be opened"))?;
    let deadline = Instant::now() + PREDECESSOR;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(LOCK_POLL).await,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(
                    format!("{} is in use by another process: one server at a time", path.display()).into(),
                ));
            }
            Err(TryLockError::Error(error)) => {
                return Err(file_error(&name, "the file cannot be locked")(error));
            }
        }
    }
}

/// How every SQLite database begins (<https://sqlite.org/fileformat.html>, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The log beside a database holds what was acknowledged last, and SQLite throws it away where the database is missing, empty
/// or not one. So it is not let near such a file.
fn refuse_to_lose_the_log(path: &Path) -> Result<(), StoreError> {
    let mut begin = Vec::new();
    match File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut begin)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        read => drop(read.map_err(file_error(path, "the file cannot be read"))?),
    }
    let wrong = |doing, kind: io::ErrorKind| {
        let error = FileError { path: path.to_owned(), doing, source: kind.into() };
        Err(corrupt("the database file", error))
    };
    if !begin.is_empty() && begin != MAGIC {
        return wrong(
            "it does not begin as a database does; nothing was touched",
            io::ErrorKind::InvalidData,
        );
    }
    let is_there = |suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        Path::new(&name).metadata().is_ok_and(|file| file.len() > 0)
    };
    if begin.is_empty() && is_there(place::COPY) {
        let doing = "it is missing while what was rescued of it (.rescued) is there; move that into its place, or away";
        return wrong(doing, io::ErrorKind::NotFound);
    }
    if begin.is_empty() && is_there("-wal") {
        let doing = "it is missing while its log (-wal) is there; put it back, or take the log away";
        return wrong(doing, io::ErrorKind::NotFound);
    }
    Ok(())
}

/// Makes the file where there is none, and takes it away from everyone but its owner. SQLite gives its log the same mode.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    match made {
        Ok(_) => backup::sync_folder_of(path).map_err(file_error(path, "the folder cannot be synced")),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mode =
                path.metadata().map_err(file_error(path, "the file cannot be read"))?.permissions().mode();
            if mode & 0o077 != 0 {
                tracing::warn!(path = %path.display(), "the database was readable by others: its mode is set to 0600");
                std::fs::set_permissions(path, Permissions::from_mode(0o600))
                    .map_err(file_error(path, "its mode cannot be set to 0600"))?;
            }
            Ok(())
        }
        Err(error) => Err(file_error(path, "the file cannot be made")(error)),
    }
}

/// What every connection of ours has in common. Statements are neither logged nor traced: they hold rows.
pub(crate) fn connect_options(
    path: &Path,
    connections: u32,
    more: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite://");
    options
        .max_connections(connections)
        .acquire_timeout(2 * BUSY)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |sqlite| {
            let sqlite = sqlite
                .filename(&path)
                .in_memory(false)
                .create_if_missing(false)
                .busy_timeout(BUSY)
                .statement_cache_capacity(256)
                .pragma("trusted_schema", "OFF");
            more(sqlite)
        });
    options
}

#[async_trait]
impl Engine for Sqlite {
    fn backend(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    async fn writer(&self) -> Result<DatabaseConnection, StoreError> {
        let SqliteOptions { synchronous, pragmas, .. } = self.options.clone();
        let mut options = connect_options(&self.options.path, 1, move |sqlite| {
            let sqlite = sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(synchronous)
                // Checkpoints are made on purpose, between groups.
                .pragma("wal_autocheckpoint", "0")
                .pragma("journal_size_limit", "67108864")
                .pragma("cache_size", "-8192");
            pragmas.iter().fold(sqlite, |sqlite, (name, value)| sqlite.pragma(*name, value.clone()))
        });
        options.min_connections(1);
        let writer =
            Database::connect(options).await.map_err(|error| self.read_failure(SqlFailure::from(error)))?;
        // What was asked for is not always what a file system can give; acknowledged must mean durable.
        let journal: String = pragma(&writer, "PRAGMA journal_mode").await?;
        let level: i64 = pragma(&writer, "PRAGMA synchronous").await?;
        if journal != "wal" || level != self.options.synchronous as i64 {
            return Err(StoreError::Unavailable(
                format!("SQLite runs with journal_mode={journal} and synchronous={level}, not durably")
                    .into(),
            ));
        }
        first_read(&writer).await.map_err(|error| self.read_failure(SqlFailure::from(error)))?;
        self.place.opened();
        Ok(writer)
    }

    async fn readers(&self) -> Result<DatabaseConnection, StoreError> {
        let mut options =
            connect_options(&self.options.path, READERS, |sqlite| sqlite.pragma("query_only", "ON"));
        // All at once: one that is opened later would open whatever has come under the name by then.
        options.min_connections(READERS);
        let failed = |error| self.read_failure(SqlFailure::from(error));
        let readers = Database::connect(options).await.map_err(failed)?;
        // Side by side, so that each has a connection of its own.
        let mut reads = Vec::new();
        for _ in 0..READERS {
            let read = readers.begin().await.map_err(failed)?;
            first_read(&read).await.map_err(failed)?;
            reads.push(read);
        }
        for read in reads {
            read.rollback().await.map_err(failed)?;
        }
        Ok(readers)
    }

    async fn before_migration(&self, writer: &DatabaseConnection, version: i64) -> Result<(), StoreError> {
        let mut name = self.options.path.as_os_str().to_owned();
        name.push(format!(".before-migration-from-{version}"));
        let to = PathBuf::from(name);
        if to.exists() {
            // A migration that failed before: the older copy is the better one.
            return Ok(());
        }
        backup::copy(writer, &to).await.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        tracing::info!(backup = %to.display(), "the database was copied before its schema is changed");
        Ok(())
    }

    fn commit_left_nothing(&self, failure: &SqlFailure) -> bool {
        // Refused before the commit record was whole: busy, locked, no memory, read-only, interrupted, full, constraint.
        // After an I/O error the record may be in the file, and a crash would bring it to life: that is not known.
        matches!(primary(failure), Some(5 | 6 | 7 | 8 | 9 | 13 | 19))
    }

    fn read_failure(&self, failure: SqlFailure) -> StoreError {
        match primary(&failure) {
            Some(1) => corrupt("the schema", failure),
            Some(11 | 26) => corrupt("the database file", failure),
            _ => unavailable(failure),
        }
    }

    fn wrote(&self, rows: usize) -> bool {
        // A group without rows still writes its lease.
        self.unchecked_rows.fetch_add(rows + 1, Ordering::Relaxed) + rows + 1 >= self.rows_between_checks()
    }

    async fn tidy(&self, writer: &DatabaseConnection) -> Result<(), DbErr> {
        self.unchecked_rows.store(0, Ordering::Relaxed);
        let limit = i64::from(self.options.checkpoint_pages);
        if checkpoint(writer, "NOOP").await?.pages < limit {
            return Ok(());
        }
        let log = checkpoint(writer, "PASSIVE").await?;
        if log.pages > log.copied && log.pages >= PATIENCE * limit {
            // Someone reads an old snapshot all the time: wait for a gap, or the log grows for ever.
            let log = checkpoint(writer, "RESTART").await?;
            if log.pages > log.copied {
                tracing::warn!(pages = log.pages, "a long read keeps the write-ahead log from being cleared");
            }
        }
        Ok(())
    }

    fn is_kept(&self) -> bool {
        self.place.is_kept()
    }

    async fn rescue(&self, writer: &DatabaseConnection) -> Result<(), StoreError> {
        self.place.rescue(writer).await
    }

    fn closed(&self) {
        drop(self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
}

/// Makes a connection open the log, which it does no earlier than when it reads something.
async fn first_read(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    let any = raw(DbBackend::Sqlite, "SELECT 1 FROM sqlite_schema LIMIT 1", []);
    connection.query_one_raw(any).await.map(drop)
}

struct Log {
    pages: i64,
    copied: i64,
}

async fn checkpoint(writer: &DatabaseConnection, mode: &str) -> Result<Log, DbErr> {
    let row =
        writer.query_one_raw(raw(DbBackend::Sqlite, &format!("PRAGMA wal_checkpoint({mode})"), [])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("wal_checkpoint answers a row".to_owned()))?;
    Ok(Log { pages: row.try_get_by_index(1)?, copied: row.try_get_by_index(2)? })
}

async fn pragma<T: sea_orm::TryGetable>(writer: &DatabaseConnection, text: &str) -> Result<T, StoreError> {
    let row = writer.query_one_raw(raw(DbBackend::Sqlite, text, [])).await.map_err(unavailable)?;
    row.ok_or_else(|| StoreError::Unavailable(format!("{text} answers nothing").into()))?
        .try_get_by_index(0)
        .map_err(|error: DbErr| unavailable(error))
}

/// SQLite's primary result code: the low byte of the extended one.
fn primary(failure: &SqlFailure) -> Option<u32> {
    failure.code.as_ref()?.parse::<u32>().ok().map(|code| code & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_refusals_at_commit_are_sure_to_have_left_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Sqlite::new(SqliteOptions::new(folder.path().join("orch.db"))).await.unwrap();
        let left_nothing = |code| engine.commit_left_nothing(&SqlFailure::with_code(code));
        // SQLITE_BUSY, its extended SNAPSHOT, SQLITE_FULL, a foreign key.
        assert!(["5", "517", "13", "787"].iter().all(|code| left_nothing(code)));
        // SQLITE_IOERR, its extended FSYNC and WRITE, SQLITE_CORRUPT.
        assert!(!["10", "1034", "778", "11", "no number"].iter().any(|code| left_nothing(code)));
        assert!(!engine.commit_left_nothing(&SqlFailure::without_answer()));
    }
}
