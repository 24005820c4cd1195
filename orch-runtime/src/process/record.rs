//! What is known of each process, on disk: a folder per container with its record and its output.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use orch_core::runtime::{ContainerId, ContainerLabels, Owner, RuntimeError};
use orch_core::task::Exit;
use serde::{Deserialize, Serialize};

use super::identity::ProcessId;
use super::program::Program;

/// What is known of one process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) labels: ContainerLabels,
    pub(super) program: Program,
    /// The process, once it was started.
    pub(super) process: Option<ProcessId>,
    /// How it ended, once it has.
    pub(super) exit: Option<Exit>,
}

impl Record {
    pub(super) const fn owner(&self) -> Owner {
        Owner { cluster: self.labels.cluster, node: self.labels.node }
    }
}

/// What the name of a folder begins with that is being removed.
const REMOVED: &str = ".removed-";

/// The folder with all records. Its files are small and local: they are read and written without leaving the thread.
#[derive(Debug)]
pub(super) struct Records {
    root: PathBuf,
}

impl Records {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(REMOVED) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { root })
    }

    /// The container's folder; `None` where the id is no name of a folder of ours.
    fn folder(&self, id: &ContainerId) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fine = !id.0.is_empty() && !id.0.starts_with('.') && id.0.len() <= 200 && id.0.bytes().all(plain);
        fine.then(|| self.root.join(&id.0))
    }

    fn existing(&self, id: &ContainerId) -> Result<PathBuf, RuntimeError> {
        self.folder(id).ok_or(RuntimeError::Gone)
    }

    /// Every container there is, in the order of their names.
    pub(super) fn ids(&self) -> Result<Vec<ContainerId>, RuntimeError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(trouble)? {
            if let Ok(name) = entry.map_err(trouble)?.file_name().into_string()
                && !name.starts_with(REMOVED)
            {
                ids.push(ContainerId(name));
            }
        }
        ids.sort();
        Ok(ids)
    }

    pub(super) fn read(&self, id: &ContainerId) -> Result<Option<Record>, RuntimeError> {
        let Some(folder) = self.folder(id) else { return Ok(None) };
        match fs::read(folder.join("container.json")) {
            Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| trouble(error.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(trouble(error)),
        }
    }

    /// Writes the first record of a container.
    pub(super) fn create(&self, id: &ContainerId, record: &Record) -> Result<(), RuntimeError> {
        let folder = self.existing(id)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(trouble)?;
        self.write(id, record)
    }

    /// Writes a record whole or not at all. What was removed is not brought back.
    pub(super) fn write(&self, id: &ContainerId, record: &Record) -> Result<(), RuntimeError> {
        /// Two agents on one folder are a mistake, but must not tear each other's records.
        static WRITES: AtomicU64 = AtomicU64::new(0);
        let folder = self.existing(id)?;
        let json = serde_json::to_vec(record).expect("a record is plain data");
        let write = |folder: &Path| {
            let count = WRITES.fetch_add(1, Ordering::Relaxed);
            let new = folder.join(format!("new.{}.{count}", std::process::id()));
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&json)?;
            fs::rename(new, folder.join("container.json"))
        };
        write(&folder).map_err(trouble)
    }

    /// Removes the record and the output, all at once. One that is gone is fine.
    pub(super) fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let removed = self.root.join(format!("{REMOVED}{id}"));
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(trouble(error)),
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(&removed))?;
        gone(fs::rename(self.existing(id)?, &removed))?;
        // A file that was being made while the folder was renamed may turn up in it.
        gone(fs::remove_dir_all(&removed).or_else(|_| fs::remove_dir_all(&removed)))
    }

    /// The file that takes the process's output, both streams in the order of writing.
    pub(super) fn output(&self, id: &ContainerId) -> Result<File, RuntimeError> {
        let path = self.output_path(id)?;
        OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(trouble)
    }

    pub(super) fn output_path(&self, id: &ContainerId) -> Result<PathBuf, RuntimeError> {
        Ok(self.existing(id)?.join("output.log"))
    }
}

fn trouble(error: io::Error) -> RuntimeError {
    RuntimeError::Retry { message: format!("the records of processes: {error}"), after: None }
}
