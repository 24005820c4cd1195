//! The `orch-agent` daemon. Wiring only: what it does is in the library.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to whoever started it")]

mod daemon;

use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Parser as _;
use daemon::listener;
use daemon::manual::manual;
use daemon::settings::{Cli, Command, RuntimeKind, Settings};
use orch_agent::{Agent, AgentConfig, FileCache, NodeKey, PinFile, machine};
use orch_client::{Client, HttpAgentApi};
use orch_core::env::{EnvExt as _, SystemEnv};
use orch_core::runtime::ContainerRuntime;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket, may_be_logged};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Asked for where no daemon is configured.
    if let Some(Command::Man { folder }) = &cli.command {
        return match std::fs::write(folder.join("orch-agent.8"), manual()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("orch-agent: {}: {error}", folder.display());
                ExitCode::FAILURE
            }
        };
    }
    let settings = match Settings::load(cli.flags) {
        Ok(settings) => settings,
        Err(problems) => {
            eprintln!("orch-agent: {problems}");
            return ExitCode::from(2);
        }
    };
    if cli.command.is_some() {
        print!("{settings}");
        return ExitCode::SUCCESS;
    }
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orch-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(settings: Settings) -> anyhow::Result<()> {
    let level = settings.log_level.parse::<tracing_subscriber::EnvFilter>().context("log level")?;
    let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    tracing_subscriber::registry().with(level).with(filter_fn(may_be_logged)).with(lines).init();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).context("metrics")?;

    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&settings.data_dir)
        .with_context(|| format!("data folder {}", settings.data_dir.display()))?;
    let key = NodeKey::load_or_create(&settings.data_dir.join("node.key"))?;

    let mut client = Client::builder()
        .insecure(settings.insecure)
        .user_agent(concat!("orch-agent/", env!("CARGO_PKG_VERSION")));
    for server in &settings.servers {
        client = client.server(server);
    }
    let pins = PinFile::new(settings.data_dir.join("server.pin"));
    let is_tls = settings.servers.iter().all(|url| url.starts_with("https://"));
    // A file counts before the token, and the token before what an earlier one said.
    let mut learned = None;
    if let Some(path) = &settings.ca_file {
        client = client.ca_file(path);
    } else if let Some(pin) = settings.server_pin {
        client = client.server_pin(pin);
        learned = Some(pin);
    } else if is_tls && let Some(pin) = pins.load().context("server.pin in the data folder")? {
        client = client.server_pin(pin);
    }
    let api = HttpAgentApi::new(&client)?;

    let runtime: Arc<dyn ContainerRuntime> = match settings.runtime {
        RuntimeKind::Docker => {
            let socket = DockerSocket::resolve(settings.docker_socket.as_deref())?;
            let mut config = DockerConfig { socket, ..DockerConfig::default() };
            config.secrets_dir = settings.secrets_tmpfs.unwrap_or(config.secrets_dir);
            Arc::new(DockerRuntime::new(config))
        }
        RuntimeKind::Process => {
            let state_dir = settings.data_dir.join("processes");
            Arc::new(ProcessRuntime::new(ProcessConfig { state_dir }).context("process runtime")?)
        }
    };

    let mut config = AgentConfig::new(
        settings.node_name,
        settings.advertise_address,
        machine::capacity().context("what the machine has")?,
    );
    config.labels = settings.labels;
    config.token = settings.token;
    config.policy = settings.policy;
    config.heartbeat_interval = Some(settings.heartbeat_interval);
    config.shutdown_timeout = settings.shutdown_timeout;
    config.keep_dead = settings.keep_dead;
    config.image_cleanup = settings.images;
    config.start_concurrency = settings.start_concurrency.unwrap_or(config.start_concurrency);

    let env = SystemEnv::shared();
    let agent = Agent::builder(Arc::clone(&env), Arc::new(api), runtime, config)
        .key(Arc::new(key))
        .cache(Arc::new(FileCache::new(settings.data_dir.join("desired.json"))))
        .build();

    let listener = tokio::net::TcpListener::bind(settings.agent_addr)
        .await
        .with_context(|| format!("listening on {}", settings.agent_addr))?;
    tracing::info!(address = %listener.local_addr()?, servers = ?settings.servers, "orch-agent starts");
    let router = listener::router(agent.status(), metrics.clone());
    let mut status = agent.status();
    let stop = CancellationToken::new();
    let (served, upkeep, ended) = (stop.clone(), env, stop.clone());
    let parts = async {
        tokio::join!(
            async move { axum::serve(listener, router).with_graceful_shutdown(served.cancelled_owned()).await },
            async move {
                let beat = async {
                    loop {
                        upkeep.sleep(std::time::Duration::from_secs(5)).await;
                        metrics.run_upkeep();
                    }
                };
                tokio::select! { biased; () = ended.cancelled() => {}, () = beat => {} }
            },
            async move {
                if let Some(pin) = learned
                    && status.wait_for(|status| status.registered).await.is_ok()
                    && let Err(error) = pins.save(&pin)
                {
                    tracing::error!(%error, "what the server is known by could not be kept: keep the token, or name a CA file");
                }
            },
            agent.run(stop.clone()),
        )
    };
    let signal = async {
        asked_to_stop().await?;
        stop.cancel();
        anyhow::Ok(())
    };
    let ((served, (), (), ()), signalled) = tokio::join!(parts, signal);
    signalled?;
    served.context("the agent's listener")
}

/// SIGTERM or SIGINT.
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        biased;
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
