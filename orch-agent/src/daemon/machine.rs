//! What the machine is, as far as the control plane is told.

use std::path::PathBuf;

use orch_core::node::Resources;

/// Cores × 1000, and all memory.
pub(crate) fn capacity() -> anyhow::Result<Resources> {
    let cores = std::thread::available_parallelism()?.get();
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory_total(&text).ok_or_else(|| anyhow::anyhow!("/proc/meminfo names no MemTotal"))?;
    Ok(Resources::new(u64::try_from(cores)? * 1000, memory))
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

pub(crate) fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// Where the agent keeps its key and what it remembers, unless told otherwise.
pub(crate) fn data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/orch-agent");
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    state.or_else(home).unwrap_or_default().join("orch-agent")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(memory_total("MemTotal:        2048 kB\nMemFree: 1 kB\n"), Some(2048 * 1024));
        assert_eq!(memory_total("MemFree: 1 kB\n"), None);
        assert!(capacity().unwrap().memory_bytes > 0);
    }
}
