//! Where the daemon keeps what is its own.

use std::path::PathBuf;

/// Where the agent keeps its key and what it remembers, unless told otherwise.
pub(crate) fn data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/orch-agent");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_default().join("orch-agent")
}
