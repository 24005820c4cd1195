//! The user's terminal, by way of `stty`, which every Unix has.

use std::process::{Command, Stdio};

use orch_core::api::exec::ExecFrame;
use orch_core::runtime::TerminalSize;
use tokio::sync::mpsc;

use super::super::error::CliError;

/// The terminal hands each key on as it comes, until this is dropped.
pub(super) struct Raw {
    /// How it was set before.
    before: String,
}

impl Raw {
    pub(super) fn enter() -> Result<Self, CliError> {
        let failed = || CliError::failed("the terminal cannot be set with `stty`");
        let before = stty(&["-g"]).ok_or_else(failed)?.trim().to_owned();
        stty(&["raw", "-echo"]).ok_or_else(failed)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to set back.
        let _ = stty(&[&self.before]);
    }
}

/// Its size now.
pub(super) fn size() -> Option<TerminalSize> {
    let text = stty(&["size"])?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some(TerminalSize { rows: rows.parse().ok()?, columns: columns.parse().ok()? })
}

/// Tells of each change of its size.
pub(super) async fn pass_sizes(frames: mpsc::Sender<ExecFrame>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        let Some(size) = size() else { continue };
        if frames.send(ExecFrame::Resize(size)).await.is_err() {
            return;
        }
    }
}

fn stty(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("stty").args(arguments).stdin(Stdio::inherit()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
