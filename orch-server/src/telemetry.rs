//! Logs and metrics of the process: only the daemon sets these up, an embedder has his own.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Config;

/// Buckets in seconds: what a request, a run or an engine's answer takes.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Log lines on standard error, as configured. Without effect where someone else does so already.
pub fn init_logs(config: &Config) {
    let mut level = EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    if let Ok(quiet) = "sqlx=warn".parse() {
        level = level.add_directive(quiet);
    }
    let filters =
        tracing_subscriber::registry().with(level).with(filter_fn(orch_runtime::docker::may_be_logged));
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    let _ =
        if config.log_json { filters.with(lines.json()).try_init() } else { filters.with(lines).try_init() };
}

/// Installs the process's metrics and answers what renders them. Must be called inside the runtime.
///
/// # Errors
/// The buckets are not taken.
pub fn init_metrics() -> Result<Arc<dyn Fn() -> String + Send + Sync>, BuildError> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
        .build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another part of this process keeps its metrics");
    }
    let upkeep = handle.clone();
    tokio::spawn(async move {
        // Samples of histograms pile up between renderings.
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || handle.render()))
}
