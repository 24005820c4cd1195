//! Whether the files that are open still are what their names lead to. SQLite itself writes on into a file that was removed or
//! replaced, and whatever is acknowledged then is gone with the process. So nothing is written any more; what was is copied to
//! a name of its own; and once a file with exactly that lies in the old place, it is opened and writing goes on.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use orch_core::store::StoreError;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr};

use super::{checkpoint, connect_options};
use crate::backup;
use crate::error::unavailable;
use crate::statement::raw;

/// The database, its log, and the index of the log that its connections share.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// What the copy's name ends with.
pub(super) const COPY: &str = ".rescued";

/// A file, whatever its name: device and number.
type Inode = (u64, u64);

/// The files under the database's name.
pub(super) struct Place {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What the names led to when the writing connection was opened.
    open: Option<[Option<Inode>; 3]>,
    /// The copy that was made since.
    copy: Option<PathBuf>,
}

/// What happened to the database file, for callers: names no folder.
#[derive(Debug, thiserror::Error)]
#[error("the database file was {what} while it was open; {}", self.advice())]
struct Misplaced {
    what: &'static str,
    /// The copy's name.
    copy: Option<String>,
    #[source]
    problem: Option<backup::BackupError>,
}

impl Misplaced {
    fn advice(&self) -> String {
        match &self.copy {
            Some(name) => {
                format!("put it back, or move {name}, which holds all that was written, into its place")
            }
            None => "put it back: beside it no copy of what was written can be made".to_owned(),
        }
    }
}

impl Place {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), known: Mutex::default() }
    }

    /// The writing connection was opened: what the names lead to now is what is written to.
    pub(super) fn opened(&self) {
        *self.known() = Known { open: Some(self.found()), copy: None };
    }

    /// Whether the names still lead to what is open. Three looks at names, no reading: cheap beside any commit.
    pub(super) fn is_kept(&self) -> bool {
        let Some(open) = self.known().open else { return true };
        open.into_iter().zip(self.found()).all(|(open, found)| open.is_none() || open == found)
    }

    /// Makes all that was written safe, over the connection that still has the old files open. Then: whether the database is
    /// to be opened anew under its name, since what lies there is the same.
    ///
    /// # Errors
    /// It is missing, or another; told with where the copy is.
    pub(super) async fn rescue(&self, writer: &DatabaseConnection) -> Result<(), StoreError> {
        let Some(open) = self.known().open else { return Ok(()) };
        // First, so that a log that is still there under its name holds nothing, and spoils no file that is put before it.
        let log = checkpoint(writer, "TRUNCATE").await.map_err(unavailable)?;
        if log.pages > 0 {
            let reading = "a long read keeps the database file from being put in order";
            return Err(StoreError::Unavailable(reading.into()));
        }
        let there = inode(&self.path);
        if there == open[0] {
            tracing::warn!(path = %self.path.display(), "the log of the database was removed: nothing is lost, and it is made anew");
            return Ok(());
        }
        if there.is_some() {
            self.forget_side_files(&open);
            if self.is_same(writer).await {
                tracing::warn!(path = %self.path.display(), "the database file is in its place again");
                return Ok(());
            }
        }
        let problem = self.copy(writer).await.err();
        let copy =
            self.known().copy.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into());
        let what = if there.is_some() { "replaced by another" } else { "removed" };
        Err(StoreError::Unavailable(Box::new(Misplaced { what, copy, problem })))
    }

    /// Makes the copy, unless it is there.
    async fn copy(&self, writer: &DatabaseConnection) -> Result<(), backup::BackupError> {
        if self.known().copy.as_ref().is_some_and(|copy| copy.exists()) {
            return Ok(());
        }
        let names = (1..).map(|n| if n == 1 { self.named(COPY) } else { self.named(&format!("{COPY}.{n}")) });
        let to = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| self.named(COPY));
        backup::copy(writer, &to).await?;
        tracing::error!(
            path = %self.path.display(), copy = %to.display(),
            "the database file was removed or replaced while it was open: nothing more is written; all that was is in the copy"
        );
        self.known().copy = Some(to);
        Ok(())
    }

    /// Takes the names of our own log and index away from a database that would take them for its own.
    fn forget_side_files(&self, open: &[Option<Inode>; 3]) {
        for i in [1, 2] {
            let name = self.named(SUFFIXES[i]);
            if open[i].is_some() && inode(&name) == open[i] {
                let _ = std::fs::remove_file(name);
            }
        }
    }

    /// Whether the database under the name is, to the last transaction, the one that the connection has open.
    async fn is_same(&self, writer: &DatabaseConnection) -> bool {
        let options = connect_options(&self.path, 1, |sqlite| sqlite.pragma("query_only", "ON"));
        let Ok(there) = Database::connect(options).await else { return false };
        let same =
            matches!((lease(writer).await, lease(&there).await), (Ok(ours), Ok(theirs)) if ours == theirs);
        let _ = there.close().await;
        same
    }

    fn found(&self) -> [Option<Inode>; 3] {
        SUFFIXES.map(|suffix| inode(&self.named(suffix)))
    }

    fn named(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn inode(path: &Path) -> Option<Inode> {
    let found: io::Result<_> = path.metadata();
    found.ok().map(|found| (found.dev(), found.ino()))
}

/// Whose database it is, and its last transaction.
async fn lease(database: &DatabaseConnection) -> Result<Option<(String, i64, i64)>, DbErr> {
    let lease = raw(DbBackend::Sqlite, "SELECT cluster, epoch, seq FROM lease WHERE id = 1", []);
    let lease = database.query_one_raw(lease).await?;
    lease
        .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?)))
        .transpose()
}
