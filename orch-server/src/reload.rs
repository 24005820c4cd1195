//! Files that are read again while serving: at intervals, and on SIGHUP. What cannot be used changes nothing, and is said.

use std::sync::Arc;
use std::time::Duration;

use orch_auth::watched::{Reload, Reloaded};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

/// How often files are looked at without being asked to.
const EVERY: Duration = Duration::from_secs(5);

/// Looks at files until it is dropped.
pub struct Reloader {
    files: Vec<Arc<dyn Reload>>,
    hangup: Signal,
}

impl Reloader {
    /// Over these. From now on SIGHUP does not end the process. Must be called inside the runtime.
    ///
    /// # Errors
    /// The signal cannot be listened for.
    pub fn new(files: Vec<Arc<dyn Reload>>) -> std::io::Result<Self> {
        Ok(Self { files, hangup: signal(SignalKind::hangup())? })
    }

    /// Never ends.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                biased;
                signal = self.hangup.recv() => signal.is_some(),
                _ = ticks.tick() => false,
            };
            for file in &self.files {
                look(file, asked).await;
            }
        }
    }
}

async fn look(file: &Arc<dyn Reload>, asked: bool) {
    let (name, file) = (file.name(), Arc::clone(file));
    match tokio::task::spawn_blocking(move || file.reload()).await {
        Ok(Reloaded::Replaced) => {
            metrics::gauge!("server_reload_failed", "file" => name.clone()).set(0.0);
            tracing::info!(file = name, "read again, and in force");
        }
        Ok(Reloaded::Kept(error)) => {
            metrics::gauge!("server_reload_failed", "file" => name).set(1.0);
            tracing::error!(%error, "changed, but cannot be used: what was read before stays in force");
        }
        Ok(Reloaded::Unchanged) if asked => tracing::info!(file = name, "looked at on SIGHUP; nothing new"),
        Ok(Reloaded::Unchanged) => {}
        Err(error) => tracing::error!(file = name, %error, "could not be looked at"),
    }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("files", &self.files.len()).finish_non_exhaustive()
    }
}
