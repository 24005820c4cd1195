//! Backups of an SQLite store: online, whole, checked before they get their name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use orch_core::cluster::Revision;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Value};

use crate::error::SqlFailure;
use crate::sqlite::connect_options;
use crate::statement::raw;
use crate::url::StoreUrl;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The last transaction in it.
    pub revision: Revision,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why there is no backup. Nothing is left under the wanted name.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A backup never overwrites.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// PostgreSQL has its own tools.
    #[error("a PostgreSQL store is backed up with pg_dump")]
    NotSqlite,
    /// The file could not be written.
    #[error("the backup cannot be written")]
    File(#[from] io::Error),
    /// SQLite could not read the store or write the copy.
    #[error("the database cannot be copied")]
    Database(#[source] orch_core::BoxError),
    /// The copy is not sound: the store itself may be damaged.
    #[error("the copy failed its integrity check: {0}")]
    Unsound(String),
}

fn database(error: impl Into<SqlFailure>) -> BackupError {
    BackupError::Database(Box::new(error.into()))
}

/// Copies the store that `url` names into a new file, readable by its owner only. The server may be running: it goes on
/// writing, and the copy is the state of one moment. To restore, start a server on the file.
///
/// # Errors
/// See [`BackupError`].
pub async fn backup(url: &StoreUrl, to: &Path) -> Result<BackupReport, BackupError> {
    let StoreUrl::Sqlite(from) = url else { return Err(BackupError::NotSqlite) };
    let source = Database::connect(connect_options(from, 1, |sqlite| sqlite)).await.map_err(database)?;
    let report = copy(&source, to).await;
    let _ = source.close().await;
    report
}

/// The same over a connection that is there already.
pub(crate) async fn copy(source: &DatabaseConnection, to: &Path) -> Result<BackupReport, BackupError> {
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let report = fill(source, &partial).await;
    let report = report.and_then(|report| {
        // Not a rename: that would overwrite what came under the name meanwhile.
        std::fs::hard_link(&partial, to)?;
        Ok(report)
    });
    let _ = std::fs::remove_file(&partial);
    if report.is_ok() {
        sync_folder_of(to)?;
    }
    report
}

async fn fill(source: &DatabaseConnection, partial: &Path) -> Result<BackupReport, BackupError> {
    // SQLite takes an empty file as the target, and so the copy is private from its first byte.
    let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(partial)?;
    let name = partial.to_str().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let values = [Value::from(name)];
    source.execute_raw(raw(DbBackend::Sqlite, "VACUUM INTO ?", values)).await.map_err(database)?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    let revision = check(partial).await?;
    Ok(BackupReport { revision, bytes })
}

/// Reads all of the copy.
async fn check(partial: &Path) -> Result<Revision, BackupError> {
    let options = connect_options(partial, 1, |sqlite| sqlite.read_only(true));
    let copy = Database::connect(options).await.map_err(database)?;
    let checked = async {
        let verdict = copy.query_one_raw(raw(DbBackend::Sqlite, "PRAGMA integrity_check(1)", [])).await?;
        let verdict: Option<String> = verdict.map(|row| row.try_get_by_index(0)).transpose()?;
        let seq = copy.query_one_raw(raw(DbBackend::Sqlite, "SELECT seq FROM lease", [])).await?;
        let seq: Option<i64> = seq.map(|row| row.try_get("", "seq")).transpose()?;
        Ok::<_, sea_orm::DbErr>((verdict, seq))
    };
    let (verdict, seq) = checked.await.map_err(database)?;
    copy.close().await.map_err(database)?;
    match verdict {
        Some(verdict) if verdict == "ok" => Ok(Revision(seq.unwrap_or(0).unsigned_abs())),
        other => Err(BackupError::Unsound(other.unwrap_or_else(|| "no answer".to_owned()))),
    }
}

/// Makes a new name in a folder last.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
