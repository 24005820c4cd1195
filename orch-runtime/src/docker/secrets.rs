//! Secrets as files: `<folder>/<task>/<attempt>/<n>` on a tmpfs of the node, each bind-mounted read-only.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use orch_core::id::TaskId;
use orch_core::runtime::{CreateRequest, RuntimeError};
use orch_core::secret::{Secret, SecretDelivery};
use orch_core::task::{Attempt, FailureKind};

use super::mounts::Mount;

/// The folder with the files of secrets.
#[derive(Clone)]
pub(super) struct SecretFiles {
    root: PathBuf,
}

impl SecretFiles {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn folder(&self, task: TaskId, attempt: Attempt) -> PathBuf {
        self.root.join(task.to_string()).join(attempt.to_string())
    }

    /// Writes the files of a container that is about to be made, and answers how they are mounted.
    pub(super) async fn write(&self, request: &CreateRequest<'_>) -> Result<Vec<Mount>, RuntimeError> {
        let folder = self.folder(request.labels.task, request.labels.attempt);
        let (mut files, mut mounts) = (Vec::new(), Vec::new());
        for secret in &request.secrets.values {
            let SecretDelivery::File(target) = &secret.delivery else { continue };
            let path = folder.join(files.len().to_string());
            mounts.push(Mount::read_only(path.clone(), target.clone()));
            files.push((path, secret.value.clone()));
        }
        if files.is_empty() {
            return Ok(mounts);
        }
        let (root, owner) = (self.root.clone(), owner(request.template.security.user.as_deref()));
        blocking(move || write_all(&root, &folder, &files, owner)).await.map_err(|error| match error {
            WriteError::NotOnMemory(path) => RuntimeError::permanent(
                FailureKind::Secret,
                format!("secrets are kept on memory only, and {} is on no tmpfs", path.display()),
            ),
            WriteError::Io(error) => RuntimeError::Retry {
                message: format!("the files of the task's secrets cannot be written: {}", error.kind()),
                after: None,
            },
        })?;
        Ok(mounts)
    }

    /// Removes the files of a container that is gone.
    pub(super) async fn remove(&self, task: TaskId, attempt: Attempt) {
        let folder = self.folder(task, attempt);
        let removed = blocking(move || match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                // Other attempts may still have theirs; then it stays.
                let _ = folder.parent().map(std::fs::remove_dir);
                Ok(())
            }
        });
        if let Err(error) = removed.await {
            tracing::warn!(%task, %attempt, %error, "the files of a removed container's secrets stay behind");
        }
    }
}

async fn blocking<T: Send + 'static, E: From<io::Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

enum WriteError {
    NotOnMemory(PathBuf),
    Io(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whose the files are: the container's user, where it is given by number. Names mean something in the image only.
fn owner(user: Option<&str>) -> Option<(u32, Option<u32>)> {
    let user = user?;
    let (uid, gid) = user.split_once(':').map_or((user, None), |(uid, gid)| (uid, Some(gid)));
    Some((uid.parse().ok()?, gid.and_then(|gid| gid.parse().ok())))
}

fn write_all(
    root: &Path,
    folder: &Path,
    files: &[(PathBuf, Secret<Vec<u8>>)],
    owner: Option<(u32, Option<u32>)>,
) -> Result<(), WriteError> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file_system = nix::sys::statfs::statfs(folder).map_err(io::Error::from)?;
    if file_system.filesystem_type() != nix::sys::statfs::TMPFS_MAGIC {
        std::fs::remove_dir(folder)?;
        return Err(WriteError::NotOnMemory(root.to_owned()));
    }
    for (path, value) in files {
        // An earlier try may have left it, and its container may have it mounted: the same bytes stay in place.
        if std::fs::read(path).is_ok_and(|there| there == *value.expose()) {
            continue;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
        file.write_all(value.expose())?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::fchown(&file, Some(uid), gid)?;
        }
    }
    Ok(())
}
