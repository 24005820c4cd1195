//! What is said, and how long each thing took.

use std::time::Instant;

use crate::cluster::Cluster;

/// Collects the summary while the story is told.
pub(crate) struct Show {
    began: Instant,
    lines: Vec<String>,
}

impl Show {
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), lines: Vec::new() }
    }

    pub(crate) fn chapter(&self, title: &str) {
        println!("\n── {title} ({:.1} s)", self.began.elapsed().as_secs_f64());
    }

    pub(crate) fn took(&mut self, what: &str, since: Instant) {
        self.note(format!("{:>7.2} s  {what}", since.elapsed().as_secs_f64()));
    }

    pub(crate) fn note(&mut self, line: String) {
        println!("{}", line.trim_start());
        self.lines.push(line);
    }

    /// Runs the `orch` command, as a user would.
    pub(crate) async fn orch(&self, cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<()> {
        println!("\n$ orch {}", arguments.join(" "));
        let mut whole = vec!["orch".to_owned(), "--server".to_owned(), cluster.url.clone()];
        whole.extend(arguments.iter().map(|&argument| argument.to_owned()));
        // The command brings a runtime of its own.
        let done = tokio::task::spawn_blocking(move || orch_client::cli::run_from(whole)).await?;
        anyhow::ensure!(done == std::process::ExitCode::SUCCESS, "orch {} failed", arguments.join(" "));
        Ok(())
    }

    pub(crate) fn summary(&self) {
        println!("\n── Summary ({:.1} s)", self.began.elapsed().as_secs_f64());
        self.lines.iter().for_each(|line| println!("{line}"));
        println!("Everything that was made has been removed.");
    }
}
