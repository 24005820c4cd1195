//! What the daemons need: a server with many agents and tasks, and an agent. Agents are real ones over HTTP, on runtimes in
//! memory; server and agent that are measured are the programs built beside this one.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use orch_agent::{Agent, AgentConfig, NodeKey};
use orch_client::{Client, HttpAgentApi};
use orch_core::api::endpoint::{CreateService, ListTasks, Nothing, Readyz};
use orch_core::api::service::SpecRequest;
use orch_core::api::task::TasksQuery;
use orch_core::env::SystemEnv;
use orch_core::node::Resources;
use orch_core::secret::Secret;
use orch_core::testing::FakeRuntime;
use serde_json::json;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::cluster::{interruptible, until};
use crate::process::{MIB, cpu_share, resident};
use crate::quiet::Quiet;
use crate::report::{Goal, Report};

#[derive(Args)]
pub(crate) struct Options {
    /// Connected agents.
    #[arg(long, default_value_t = 100)]
    agents: u32,
    /// Running tasks.
    #[arg(long, default_value_t = 1_000)]
    tasks: u32,
    /// Seconds that processor time is measured over.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { agents: 100, tasks: 1_000, seconds: 20 }
    }
}

const TOKEN: &str = "registration-token-of-a-benchmark";

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let answer = runtime.block_on(interruptible(measure(options)));
    runtime.shutdown_timeout(Duration::from_secs(5));
    answer
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let address = free_address()?;
    let url = format!("http://{address}");
    let server = daemon("orch-server")?
        .args(["--addr", &address, "--log-level", "warn"])
        // Nodes that are told to be quiet are not to be given up.
        .args(["--node-heartbeat-timeout", "15m"])
        .arg("--data-dir")
        .arg(folder.path().join("server"))
        .env("ORCH_AGENT_REGISTRATION_TOKEN", TOKEN)
        .spawn()?;
    let client = Client::builder().server(url.clone()).build()?;
    let is_ready = async || Ok(client.call::<Readyz>(&[], &Nothing {}, &Nothing {}).await.is_ok());
    until("the server is ready", is_ready).await?;

    let (stop, quiet) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    let mut runtimes = Vec::new();
    for at in 0..options.agents {
        runtimes.push(simulated(&url, at, stop.child_token(), Arc::clone(&quiet))?);
    }
    let agent = daemon("orch-agent")?
        .args(["--server-url", &url, "--node-name", "measured", "--advertise-address", "127.0.0.1"])
        .args(["--agent-addr", &free_address()?, "--log-level", "warn"])
        .arg("--data-dir")
        .arg(folder.path().join("agent"))
        .env("ORCH_AGENT_REGISTRATION_TOKEN", TOKEN)
        .spawn()?;
    deploy(&client, options.tasks).await?;
    let running = async || {
        let count: usize = runtimes.iter().map(|runtime| runtime.containers().len()).sum();
        Ok(count == options.tasks as usize)
    };
    until("every task runs", running).await?;
    // The last reports, and the end of the deployment.
    tokio::time::sleep(Duration::from_secs(10)).await;

    let id_of = |process: &tokio::process::Child| process.id().context("the daemon has ended");
    let (server_id, agent_id) = (id_of(&server)?, id_of(&agent)?);
    let window = Duration::from_secs(options.seconds.max(1).into());
    let beating = cpu_share(server_id, window).await?;
    quiet.store(true, Ordering::Relaxed);
    // Longer than the interval at which agents hear of it.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let idle = cpu_share(server_id, window).await?;
    let (server_bytes, agent_bytes) = (resident(server_id)?, resident(agent_id)?);
    let tasks = client.call::<ListTasks>(&[], &TasksQuery::default(), &Nothing {}).await?.tasks;
    let running = tasks.iter().filter(|task| task.actual_status == "running").count();
    anyhow::ensure!(running == options.tasks as usize, "the server knows of {running} running tasks only");
    stop.cancel();

    let mut report = Report::new("footprint");
    report
        .figure("agents", f64::from(options.agents), "")
        .figure("tasks", f64::from(options.tasks), "")
        .held("server_resident", server_bytes / MIB, "MiB", Goal::AtMost(64.0))
        .held("agent_resident", agent_bytes / MIB, "MiB", Goal::AtMost(20.0))
        .figure("server_cpu_with_heartbeats", beating * 100.0, "% of a core")
        .held("server_cpu_beyond_heartbeats", idle * 100.0, "% of a core", Goal::AtMost(1.0));
    Ok(report)
}

/// A daemon of this build, which ends with its handle.
fn daemon(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(beside(name, name)?);
    command.kill_on_drop(true);
    Ok(command)
}

/// A program of this build.
pub(crate) fn beside(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(
        beside.exists(),
        "{} is not there: build it first, in the same profile: cargo build --release -p {package}",
        beside.display()
    );
    Ok(beside)
}

fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string())
}

/// An agent in this process, over HTTP, on a runtime in memory.
fn simulated(
    url: &str,
    at: u32,
    stop: CancellationToken,
    quiet: Arc<AtomicBool>,
) -> anyhow::Result<FakeRuntime> {
    let env = SystemEnv::shared();
    let runtime = FakeRuntime::new(env.clone());
    let api = HttpAgentApi::new(&Client::builder().server(url))?;
    let mut config =
        AgentConfig::new(format!("sim-{at}").parse()?, "127.0.0.1", Resources::new(64_000, 256 << 30));
    config.labels.insert("simulated".to_owned(), "yes".to_owned());
    config.token = Some(Secret::new(TOKEN.to_owned()));
    let api = Arc::new(Quiet { inner: Arc::new(api), quiet });
    let agent = Agent::builder(env, api, Arc::new(runtime.clone()), config)
        .key(Arc::new(NodeKey::generate()?))
        .build();
    tokio::spawn(agent.run(stop));
    Ok(runtime)
}

/// Ten services on the simulated nodes.
async fn deploy(client: &Client, tasks: u32) -> anyhow::Result<()> {
    const SERVICES: u32 = 10;
    for at in 0..SERVICES {
        let replicas = tasks / SERVICES + u32::from(at < tasks % SERVICES);
        let spec = serde_json::from_value(json!({
            "name": format!("bench-{at}"),
            "image": "web:1",
            "replicas": replicas,
            "ports": [{ "name": "http", "container_port": 8080 }],
            "env": { "GREETING": "hello" },
            "placement_constraints": [{ "key": "simulated", "operator": "equals", "value": "yes" }],
        }))?;
        client.call::<CreateService>(&[], &Nothing {}, &SpecRequest { spec }).await?;
    }
    Ok(())
}
