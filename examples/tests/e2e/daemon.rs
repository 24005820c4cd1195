//! A program that runs until it is killed, and certainly not longer than its test.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::binaries::program;
use crate::poll::until;

/// A running daemon. What it says is in a file.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts it with these variables and nothing else of ours but what finds programs and the engine.
    pub(crate) fn start<V: AsRef<OsStr>>(name: &str, log: &Path, env: &[(&str, V)], flags: &[&str]) -> Self {
        let said = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program(name));
        command.args(flags).stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        command.env_clear().envs(inherited()).envs(env.iter().map(|(name, value)| (name, value)));
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    /// Without a warning, as a crash.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Sends it a signal: `STOP`, say.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// As a service manager stops it.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        until("the daemon has stopped", || self.child.try_wait().unwrap());
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- {}", self.log.display());
            lines[lines.len().saturating_sub(40)..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// What every program needs of the environment.
pub(crate) fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    ["PATH", "DOCKER_HOST"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}
