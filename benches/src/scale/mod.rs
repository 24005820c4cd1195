//! How far one server carries: many agents over the real `AgentApi`, a real control plane, a real SQLite file.

mod curve;
mod fleet;
mod load;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use orch_auth::{
    enrollment::{EnrollmentChain, StaticToken},
    jwt::NoUserAuth,
    key::ServerKey,
    roles::HierarchicalRoles,
    token::TokenCredentials,
};
use orch_core::command::apply_service::ApplyTarget;
use orch_core::command::{ApplyService, CreateService};
use orch_core::control_plane::ControlPlane;
use orch_core::env::SystemEnv;
use orch_core::id::{NodeId, ServiceId};
use orch_core::identity::{Scope, UserProof};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::schedule::FilterAndScore;
use orch_core::secret::Secret;
use orch_core::service::ServiceSpec;
use orch_core::store::Store;
use orch_core::task::TaskStatus;
use orch_core::testing::decide::web_spec;
use orch_core::time::Timestamp;
use orch_store::StoreUrl;

use self::fleet::Fleet;
use crate::process::{MIB, cpu_share, resident};
use crate::report::{Goal, Report};

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 1_000)]
    nodes: u32,
    /// Tasks in all.
    #[arg(long, default_value_t = 50_000)]
    tasks: u32,
    /// Replicas of the largest service, which is rolled out.
    #[arg(long, default_value_t = 5_000)]
    largest: u32,
    /// Seconds over which the processor time of heartbeats is measured.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// The largest cluster in which the cost of one change is measured, in tasks.
    #[arg(long, default_value_t = 100_000)]
    curve: u32,
    /// Only loads a database, and says how that went: what the benchmark starts as a process of its own.
    #[arg(long, hide = true)]
    load: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1_000, tasks: 50_000, largest: 5_000, seconds: 20, curve: 100_000, load: None }
    }
}

/// Replicas of the other services.
const USUAL: u32 = 500;
/// One node in so many is lost.
const LOST: u32 = 10;
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(3_600);

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &options.load {
        Some(path) => runtime.block_on(load::print(path)),
        None => runtime.block_on(measure(options)),
    }
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let me = std::process::id();
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("scale.db");
    let cluster = Cluster { control: control_plane(&path).await?, tasks: options.tasks };
    let (registered, mut fleet) =
        timed(Fleet::register(&cluster.control, options.nodes, room(options))).await?;
    let before = resident(me)?;

    let started = Instant::now();
    let services = cluster.deploy(options).await?;
    cluster.until("every task has a node", |_| true).await?;
    let placed = started.elapsed().as_secs_f64();
    cluster.until("every task runs", TaskStatus::is_running).await?;
    let running = started.elapsed().as_secs_f64();
    let resident = resident(me)?;

    let (rolled_out, ()) = timed(cluster.roll_out(services[0])).await?;
    let (lost, tasks_lost) = timed(cluster.lose_nodes(&mut fleet, options.nodes / LOST)).await?;
    let window = Duration::from_secs(options.seconds.max(1).into());
    let beating = cpu_share(me, window).await?;
    drop(fleet);
    cluster.control.shutdown().await;
    drop(cluster);
    let loaded = load::in_a_process_of_its_own(&path).await?;

    let tasks = f64::from(options.tasks);
    let mut report = Report::new("scale");
    report
        .figure("nodes", f64::from(options.nodes), "")
        .figure("tasks", tasks, "")
        .figure("registered", f64::from(options.nodes) / registered, "1/s")
        .figure("placed_and_durable", tasks / placed, "1/s")
        .figure("all_running", running, "s")
        .figure("rolled_out", f64::from(options.largest) / rolled_out, "1/s")
        .figure("tasks_of_lost_nodes", tasks_lost, "")
        .figure("lost_nodes_replaced_after_timeout", lost - HEARTBEAT_TIMEOUT.as_secs_f64(), "s")
        .held("heartbeats_cpu", beating * 100.0, "% of a core", Goal::AtMost(100.0))
        .held("restart_loads", loaded.seconds, "s", Goal::AtMost(15.0))
        .held("memory_of_a_task", loaded.bytes / tasks, "B", Goal::AtMost(1_024.0))
        .figure("resident_with_agents_before", before / MIB, "MiB")
        .figure("resident_with_agents", resident / MIB, "MiB");
    for (tasks, micros) in curve::measure(options.curve)? {
        report.figure(curve::name(tasks), micros, "µs");
    }
    Ok(report)
}

async fn timed<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(f64, T)> {
    let started = Instant::now();
    let value = work.await?;
    Ok((started.elapsed().as_secs_f64(), value))
}

/// Room for the tasks, with a third to spare: for the rollout, and for the tasks of nodes that are lost.
fn room(options: &Options) -> Resources {
    let share = web_spec("web", 1).template.requests;
    let each = u64::from(options.tasks.div_ceil(options.nodes.max(1)));
    let fit = each + each / 3 + 2;
    Resources::new(share.cpu_millis * fit, share.memory_bytes * fit)
}

fn spec(name: &str, replicas: u32) -> ServiceSpec {
    let mut spec = web_spec(name, replicas);
    spec.rollout.max_surge = replicas.div_ceil(10);
    spec.rollout.max_unavailable = 0;
    spec.rollout.min_healthy = Duration::ZERO;
    spec.rollout.deadline = PATIENCE;
    spec
}

async fn control_plane(path: &Path) -> anyhow::Result<ControlPlane> {
    let store: Arc<dyn Store> = orch_store::open(&StoreUrl::Sqlite(path.to_owned())).await?;
    let key = ServerKey::derive(&Secret::new("a key for a benchmark".to_owned()))?;
    let mut policy = orch_core::control_plane::ClusterPolicy::default();
    policy.heartbeat_timeout = HEARTBEAT_TIMEOUT;
    Ok(ControlPlane::builder(SystemEnv::shared(), store)
        .users(Arc::new(NoUserAuth))
        .authorizer(Arc::new(HierarchicalRoles))
        .credentials(Arc::new(TokenCredentials::new(key.clone())))
        .enrollment(Arc::new(
            EnrollmentChain::new(key.clone())
                .attestor(StaticToken::new(key, &Secret::new(fleet::TOKEN.to_owned()))),
        ))
        .scheduler(Arc::new(FilterAndScore))
        .policy(policy)
        .start()
        .await?)
}

struct Cluster {
    control: ControlPlane,
    tasks: u32,
}

impl Cluster {
    /// The largest service, and as many usual ones as make up the rest.
    async fn deploy(&self, options: &Options) -> anyhow::Result<Vec<ServiceId>> {
        let anybody = self.control.authenticate(&UserProof::at(Timestamp::ZERO)).await?;
        let (mut left, mut next, mut services) = (options.tasks, options.largest, Vec::new());
        while left > 0 {
            let replicas = next.min(left);
            let permit = self.control.authorize::<CreateService>(anybody.clone(), Scope::Cluster)?;
            let spec = spec(&format!("service-{}", services.len()), replicas);
            let command = CreateService { namespace: Namespace::default_namespace(), spec };
            services.push(self.control.execute(permit, command).await?.id);
            (left, next) = (left - replicas, USUAL);
        }
        Ok(services)
    }

    async fn roll_out(&self, service: ServiceId) -> anyhow::Result<()> {
        let anybody = self.control.authenticate(&UserProof::at(Timestamp::ZERO)).await?;
        let permit = self.control.authorize::<ApplyService>(anybody, Scope::Cluster)?;
        let mut spec = self.control.image().service(service).context("the service is there")?.spec.clone();
        spec.template.image = "web:2".parse()?;
        let command = ApplyService {
            namespace: Namespace::default_namespace(),
            target: ApplyTarget::Id(service),
            spec,
            expected: None,
            dry_run: false,
        };
        self.control.execute(permit, command).await?;
        self.poll("the rollout is done", |image| image.active_deployment(service).is_none()).await?;
        let image = self.control.image();
        let rows = image.tasks_of_service(service).filter(|task| task.is_active());
        let service = image.service(service).context("the service is there")?;
        let new = rows.filter(|task| task.version == service.version).count();
        anyhow::ensure!(new == service.spec.replicas as usize, "the rollout ended with {new} new replicas");
        Ok(())
    }

    /// Until every task runs elsewhere. Answers how many had to.
    async fn lose_nodes(&self, fleet: &mut Fleet, count: u32) -> anyhow::Result<f64> {
        let lost = fleet.lose(count as usize);
        let image = self.control.image();
        let theirs = |node: Option<NodeId>| node.is_some_and(|node| lost.contains(&node));
        let had_to = image.tasks().filter(|task| task.is_active() && theirs(task.node)).count();
        let tasks = self.tasks as usize;
        self.poll("every task of the lost nodes runs elsewhere", |image| {
            let elsewhere = image.tasks().filter(|task| task.is_active() && !theirs(task.node));
            elsewhere.filter(|task| task.status.is_running()).count() == tasks
        })
        .await?;
        #[expect(clippy::cast_precision_loss, reason = "a count for people")]
        Ok(had_to as f64)
    }

    async fn until(&self, what: &str, holds: fn(&TaskStatus) -> bool) -> anyhow::Result<()> {
        let tasks = self.tasks as usize;
        let placed = |image: &orch_core::cluster::Cluster| {
            let placed = image.tasks().filter(|task| task.node.is_some() && holds(&task.status));
            placed.count() == tasks
        };
        self.poll(what, placed).await
    }

    /// Looks again and again, but so that looking takes a small share of the time only.
    async fn poll(
        &self,
        what: &str,
        holds: impl Fn(&orch_core::cluster::Cluster) -> bool,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let begun = Instant::now();
            if holds(&self.control.image()) {
                return Ok(());
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep((20 * begun.elapsed()).max(Duration::from_millis(20))).await;
        }
    }
}
