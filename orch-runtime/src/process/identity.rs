//! Which process is meant: ids are used again, so the start time and the machine's boot belong to one.

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use orch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One process of one boot of the machine. It leads a process group of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    pid: u32,
    /// In clock ticks after the boot; `None` if it ended before it could be read.
    started: Option<u64>,
    boot: String,
    pub(super) since: Timestamp,
}

impl ProcessId {
    /// A process that was started just now.
    pub(super) fn of(pid: u32) -> Self {
        Self { pid, started: stat(pid).map(|(_, started)| started), boot: boot(), since: now() }
    }

    /// Whether it runs: a process that ended and waits for its parent does not.
    pub(super) fn is_alive(&self) -> bool {
        self.boot == boot()
            && stat(self.pid).is_some_and(|(state, started)| state != 'Z' && Some(started) == self.started)
    }

    /// Sends a signal to its group. One that is gone is fine.
    pub(super) fn signal(&self, signal: Signal) {
        if !self.is_alive() {
            return;
        }
        let Ok(pid) = i32::try_from(self.pid) else { return };
        if let Err(error) = killpg(Pid::from_raw(pid), signal) {
            tracing::debug!(pid, %signal, %error, "a signal was not delivered");
        }
    }
}

/// State and start time, from `/proc/<pid>/stat`.
fn stat(pid: u32) -> Option<(char, u64)> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The program's name comes second, in parentheses, and may hold anything.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

pub(super) fn now() -> Timestamp {
    Timestamp::ZERO + std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_lie_about_its_state_by_its_name() {
        let text = "42 (x) R 9 (y)) S 1 42 42 0 -1 4194304 1 0 0 0 3 4 0 0 20 0 1 0 12345 99 7";
        assert_eq!(parse_stat(text), Some(('S', 12345)));
        assert_eq!(parse_stat("42"), None);
    }

    #[test]
    fn a_process_that_has_the_same_number_later_is_another_one() {
        let this = ProcessId::of(std::process::id());
        assert!(this.is_alive());
        assert!(!ProcessId { started: this.started.map(|ticks| ticks + 1), ..this.clone() }.is_alive());
        assert!(!ProcessId { boot: "another".to_owned(), ..this }.is_alive());
    }
}
