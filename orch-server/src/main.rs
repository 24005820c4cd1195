//! The `orch-server` daemon: wiring only.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use orch_server::config::{Config, Problems, Settings, command, manual};
use orch_server::dev::DevNode;
use orch_server::{daemon, telemetry};

/// Bad configuration, as opposed to a failure.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = command().get_matches();
    // Asked for where no daemon is configured.
    if let Some(folder) = matches.subcommand_matches("man").and_then(|man| man.get_one::<String>("folder")) {
        return match std::fs::write(Path::new(folder).join("orch-server.8"), manual()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&format_args!("{folder}: {error}"));
                ExitCode::FAILURE
            }
        };
    }
    let config = Settings::collect(&matches, std::env::vars_os())
        .map_err(Problems)
        .and_then(|settings| Ok((Config::from_settings(&settings)?, settings)));
    let (config, settings) = match config {
        Ok(config) => config,
        Err(problems) => {
            complain(&problems);
            return ExitCode::from(USAGE);
        }
    };
    match run(&matches, config, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the process's last words, before or after there is a log")]
fn complain(what: &dyn std::fmt::Display) {
    eprintln!("orch-server: {what}");
}

#[tokio::main]
async fn run(matches: &ArgMatches, config: Config, settings: &Settings) -> anyhow::Result<()> {
    match matches.subcommand() {
        Some(("config" | "check-config", _)) => print(&config.print(settings)),
        Some(("backup", matches)) => {
            let file = matches.get_one::<String>("file").map(Path::new).context("no file is named")?;
            let store = config.store.context("--dev keeps nothing that could be backed up")?;
            let report = orch_store::backup(&store, file).await?;
            print(&format!("{}: revision {}, {} bytes\n", file.display(), report.revision, report.bytes));
        }
        Some(("migrate", matches)) => {
            let store = config.store.context("--dev keeps nothing that could be migrated")?;
            print(&migrate(matches.subcommand_name(), &store).await?);
        }
        _ => return serve(config).await,
    }
    Ok(())
}

/// One line: the schema that the store has, the one that this program works with, and how many steps are between them.
async fn migrate(what: Option<&str>, store: &orch_store::StoreUrl) -> anyhow::Result<String> {
    if what == Some("up") {
        orch_store::open(store).await?;
    }
    let (current, latest) = (orch_store::schema_version(store).await?, orch_store::SCHEMA_VERSION);
    anyhow::ensure!(
        current <= latest,
        "the schema is of version {current}; this program knows {latest} and older"
    );
    Ok(format!("current={current} latest={latest} pending={}\n", latest - current))
}

#[expect(clippy::print_stdout, reason = "what a command was asked for")]
fn print(text: &str) {
    print!("{text}");
}

async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init_logs(&config);
    let metrics = telemetry::init_metrics()?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let dev = config.dev.then(|| (config.runtime, config.registration_token.clone()));
    let stop = stop_signal()?;
    let (server, control) = daemon::build(config, Some(metrics)).await?;
    tracing::info!(address = %server.address(), scheme, "listening");
    match dev {
        None => server.run(stop).await,
        Some((runtime, token)) => {
            let node = DevNode::start(&control, runtime, token).await?;
            print(&what_to_try(&node, &format!("{scheme}://{}", server.address())));
            // The node goes first: it says goodbye, and removes its containers.
            server
                .run(async move {
                    stop.await;
                    node.stop().await;
                })
                .await;
        }
    }
    tracing::info!("stopped");
    Ok(())
}

fn what_to_try(node: &DevNode, url: &str) -> String {
    format!(
        "A throw-away cluster of one node, {}: nothing is kept, and its containers end with it (Ctrl-C).\n\
         Try from another terminal:\n\n  \
         orch --server {url} deploy examples/specs/web.yaml --wait\n  \
         orch --server {url} service ps web\n  \
         orch --server {url} logs web --follow\n\n",
        node.name()
    )
}

/// The first SIGINT or SIGTERM. Handlers stand before the first request.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: no new connections, what was accepted is answered");
    })
}
