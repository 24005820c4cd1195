//! What the machine is, as a control plane is told.

use std::io;

use orch_core::node::Resources;

/// All that the machine has: cores × 1000, and all memory in bytes.
///
/// # Errors
/// The system does not tell.
pub fn capacity() -> io::Result<Resources> {
    let cores = std::thread::available_parallelism()?.get();
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let memory = memory_total(&text).ok_or_else(|| io::Error::other("/proc/meminfo names no MemTotal"))?;
    let cores = u64::try_from(cores).unwrap_or(u64::MAX);
    Ok(Resources::new(cores.saturating_mul(1000), memory))
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The host's name; `None` if it is no text.
#[must_use]
pub fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
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
