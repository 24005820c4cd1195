//! A server's restart: what the database of a cluster takes to load, in a process that did nothing else before.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::control_plane;
use crate::process::resident;
use crate::report::Report;

/// What loading came to.
#[derive(Serialize, Deserialize)]
pub(super) struct Loaded {
    /// Until the control plane takes commands.
    pub(super) seconds: f64,
    /// What the process grew by.
    pub(super) bytes: f64,
}

/// Loads, and prints a [`Loaded`].
#[expect(clippy::print_stdout, reason = "the process's answer")]
pub(super) async fn print(path: &Path) -> anyhow::Result<Report> {
    let me = std::process::id();
    let before = resident(me)?;
    let started = Instant::now();
    let control = control_plane(path).await?;
    let seconds = started.elapsed().as_secs_f64();
    let loaded = Loaded { seconds, bytes: resident(me)? - before };
    println!("{}", serde_json::to_string(&loaded)?);
    control.shutdown().await;
    std::process::exit(0);
}

pub(super) async fn in_a_process_of_its_own(path: &Path) -> anyhow::Result<Loaded> {
    let output = Command::new(std::env::current_exe()?).args(["scale", "--load"]).arg(path).output().await?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("the process that loaded does not say how")
}
