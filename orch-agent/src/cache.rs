//! What outlives the agent's process: the last desired set, so that a restarted agent goes on while the server is away.
//!
//! No secret is in it: a desired set holds references only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use orch_core::agent::DesiredSet;
use orch_core::converge::Streak;
use orch_core::id::{NodeId, TaskId};
use serde::{Deserialize, Serialize};

use crate::images::Ledger;
use crate::node_key::write_private;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What the node should run. It names cluster and node, and so whose containers are ours.
    pub desired: Arc<DesiredSet>,
    /// The node was revoked: nothing of it may run.
    #[serde(default)]
    pub revoked: bool,
    /// Earlier identities of the node, which may have left containers.
    #[serde(default)]
    pub former: BTreeSet<NodeId>,
    /// Tasks that ended more than once in a row, so that a crash loop does not begin anew with the agent.
    #[serde(default)]
    pub streaks: BTreeMap<TaskId, Streak>,
    /// The images that orch pulled on the node: no others are ever cleaned up.
    #[serde(default)]
    pub images: Ledger,
}

/// Keeps [`Remembered`]. Losing it costs nothing but going on while the server is away.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// What was kept; `None` if nothing was, or it cannot be read. Called once, at start.
    async fn load(&self) -> Option<Remembered>;
    /// Keeps it in place of what was kept before.
    async fn save(&self, remembered: &Remembered) -> io::Result<()>;
}

/// In a file of the data folder, mode 0600, whole or not at all.
#[derive(Debug)]
pub struct FileCache {
    path: PathBuf,
}

impl FileCache {
    /// In this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl Cache for FileCache {
    async fn load(&self) -> Option<Remembered> {
        let bytes = match tokio::fs::read(&self.path).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %self.path.display(), %error, "the cache cannot be read");
                }
                return None;
            }
        };
        serde_json::from_slice(&bytes)
            .inspect_err(
                |error| tracing::warn!(path = %self.path.display(), %error, "the cache is of no use"),
            )
            .ok()
    }

    async fn save(&self, remembered: &Remembered) -> io::Result<()> {
        let bytes = serde_json::to_vec(remembered).map_err(io::Error::other)?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || write_private(&path, &bytes)).await.map_err(io::Error::other)?
    }
}

/// In memory: outlives the agent, not the process. For tests, `--dev` and the simulation.
#[derive(Debug, Default)]
pub struct MemoryCache(Mutex<Option<Remembered>>);

#[async_trait]
impl Cache for MemoryCache {
    async fn load(&self) -> Option<Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn save(&self, remembered: &Remembered) -> io::Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(remembered.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::agent::DesiredVersion;
    use orch_core::cluster::Revision;
    use orch_core::id::IdStream;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn what_was_saved_last_is_loaded_and_junk_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("desired.json");
        let cache = FileCache::new(&path);
        assert_eq!(cache.load().await, None);
        let mut ids = IdStream::seeded(1);
        let version = DesiredVersion { cluster: ids.next(), revision: Revision(7) };
        let desired = DesiredSet { version, node: ids.next(), tasks: Vec::new(), streams: Vec::new() };
        let remembered = Remembered {
            desired: Arc::new(desired),
            revoked: false,
            former: BTreeSet::new(),
            streaks: BTreeMap::new(),
            images: Ledger::default(),
        };
        cache.save(&remembered).await.unwrap();
        let newer = Remembered { revoked: true, ..remembered };
        cache.save(&newer).await.unwrap();
        assert_eq!(cache.load().await, Some(newer));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"{").unwrap();
        assert_eq!(cache.load().await, None);
    }
}
