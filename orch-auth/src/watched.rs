//! [`WatchedFile`]: what a file says, read again whenever someone asks whether it changed.
//!
//! When to ask is the daemon's: at intervals, and on a signal. A file that cannot be used changes nothing.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ring::digest;
use zeroize::Zeroizing;

use crate::live::Live;

/// The largest file that is read: 256 KiB.
const LARGEST: u64 = 256 * 1024;

/// Something that is read from outside and can be read again while serving.
pub trait Reload: Send + Sync + 'static {
    /// What it is, for the log.
    fn name(&self) -> String;
    /// Looks whether it changed, and takes over what did. Blocks for as long as a file takes to read.
    fn reload(&self) -> Reloaded;
}

/// What a look at a source came to.
#[derive(Debug)]
pub enum Reloaded {
    /// Nothing new; or what was wrong with it is still wrong, and was said.
    Unchanged,
    /// It is in force.
    Replaced,
    /// What stands there now cannot be used: what was read before stays in force.
    Kept(FileError),
}

/// A file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// What is wrong, without the file's content.
    pub problem: String,
}

/// How a text is understood. What is wrong is said without quoting it.
type Parse<T> = fn(&str) -> Result<T, String>;

/// A file, and what it says.
pub struct WatchedFile<T> {
    path: PathBuf,
    parse: Parse<T>,
    live: Live<T>,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(PartialEq, Eq)]
enum Seen {
    /// A content, by its SHA-256, good or bad.
    Content(Vec<u8>),
    /// It could not be read.
    Unreadable(io::ErrorKind),
}

impl<T> WatchedFile<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or does not say what it should.
    pub fn open(path: impl Into<PathBuf>, parse: Parse<T>) -> Result<Self, FileError> {
        let path = path.into();
        let wrong = |problem| FileError { path: path.clone(), problem };
        let text = read(&path).map_err(|error| wrong(error.to_string()))?;
        let value = parse(&text).map_err(wrong)?;
        let seen = Mutex::new(Seen::of(&text));
        Ok(Self { live: Live::new(value), path, parse, seen })
    }

    /// What it says, now and after each reload.
    #[must_use]
    pub fn live(&self) -> Live<T> {
        self.live.clone()
    }
}

impl Seen {
    fn of(text: &str) -> Self {
        Self::Content(digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec())
    }
}

impl<T: Send + Sync + 'static> Reload for WatchedFile<T> {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn reload(&self) -> Reloaded {
        let read = read(&self.path);
        let now = match &read {
            Ok(text) => Seen::of(text),
            Err(error) => Seen::Unreadable(error.kind()),
        };
        // Held throughout, so that two looks at once do not put an older content after a newer one.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Reloaded::Unchanged;
        }
        *seen = now;
        let parsed = read.map_err(|error| error.to_string()).and_then(|text| (self.parse)(&text));
        match parsed {
            Ok(value) => {
                self.live.set(value);
                Reloaded::Replaced
            }
            Err(problem) => Reloaded::Kept(FileError { path: self.path.clone(), problem }),
        }
    }
}

impl<T> std::fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = std::fs::File::open(path)?;
    let mut text = Zeroizing::new(String::new());
    if file.take(LARGEST + 1).read_to_string(&mut text)? as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 256 KiB"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<u32, String> {
        text.trim().parse().map_err(|_| "not a number".to_owned())
    }

    #[test]
    fn a_change_is_taken_over_and_a_broken_file_changes_nothing_and_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let file = WatchedFile::open(&path, number).unwrap();
        let live = file.live();
        assert!(matches!(file.reload(), Reloaded::Unchanged));
        std::fs::write(&path, "2").unwrap();
        assert_eq!(*live.get(), 1);
        assert!(matches!(file.reload(), Reloaded::Replaced));
        assert_eq!(*live.get(), 2);
        std::fs::write(&path, "two").unwrap();
        let Reloaded::Kept(error) = file.reload() else { panic!("a word is no number") };
        assert_eq!(error.to_string(), format!("{}: not a number", path.display()));
        assert!(matches!(file.reload(), Reloaded::Unchanged), "it was said");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(file.reload(), Reloaded::Kept(_)));
        assert!(matches!(file.reload(), Reloaded::Unchanged));
        assert_eq!(*live.get(), 2);
        std::fs::write(&path, "2").unwrap();
        assert!(matches!(file.reload(), Reloaded::Replaced), "it is back");
    }

    #[test]
    fn what_is_missing_wrong_or_too_large_is_an_error_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        assert!(WatchedFile::open(&path, number).is_err());
        std::fs::write(&path, "x".repeat(300 * 1024)).unwrap();
        let error = WatchedFile::open(&path, number).unwrap_err().to_string();
        assert!(error.contains("256 KiB"), "{error}");
    }
}
