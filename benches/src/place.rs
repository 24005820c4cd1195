//! Placements a second on one core: many services of many sizes and constraint sets, decided *and* applied.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use orch_core::cluster::invariants;
use orch_core::command::{CreateService, ReconcileService};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::schedule::{FilterAndScore, Scheduler};
use orch_core::service::{Constraint, Rule, ServiceSpec};
use orch_core::testing::decide::{World, web_spec};
use orch_core::testing::reference::ScanEveryNode;

use crate::report::{Goal, Report, median};

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// Services to place, of 1 to 1,000 replicas.
    #[arg(long, default_value_t = 200)]
    services: usize,
    /// Services of one replica to place afterwards, on as many nodes: each is looked at alone.
    #[arg(long, default_value_t = 2_000)]
    small_services: usize,
    /// Whole repetitions; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1_000, services: 200, small_services: 2_000, rounds: 5 }
    }
}

const ZONES: usize = 8;
const DISKS: [&str; 3] = ["ssd", "hdd", "nvme"];
const GI: u64 = 1 << 30;

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let search: Arc<dyn Scheduler> = Arc::new(FilterAndScore);
    let scan: Arc<dyn Scheduler> = Arc::new(ScanEveryNode);
    let (mut mixed, mut singles, mut scanned) = (Vec::new(), Vec::new(), Vec::new());
    let mut placed = 0;
    for _ in 0..options.rounds.max(1) {
        let (count, elapsed) = round(options.nodes, options.services, mixed_replicas, &search)?;
        placed = count;
        mixed.push(rate(count, elapsed));
        for (scheduler, rates) in [(&search, &mut singles), (&scan, &mut scanned)] {
            let (count, elapsed) = round(options.nodes, options.small_services, |_| 1, scheduler)?;
            rates.push(rate(count, elapsed));
        }
    }
    let mut report = Report::new("place");
    #[expect(clippy::cast_precision_loss, reason = "counts for people")]
    report
        .figure("nodes", options.nodes as f64, "")
        .figure("services", options.services as f64, "")
        .figure("tasks", placed as f64, "")
        .held("placements_per_second", median(mixed), "1/s", Goal::AtLeast(100_000.0))
        .figure("small_services", options.small_services as f64, "")
        .held("small_services_per_second", median(singles), "1/s", Goal::AtLeast(50_000.0))
        .figure("small_services_by_scan", median(scanned), "1/s");
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}

fn round(
    nodes: usize,
    services: usize,
    replicas: fn(usize) -> u32,
    scheduler: &Arc<dyn Scheduler>,
) -> anyhow::Result<(usize, Duration)> {
    let mut world = World::bare();
    for at in 0..nodes {
        world.register_node(&format!("node-{at}"), Resources::new(64_000, 256 * GI));
    }
    label_nodes(&mut world);
    let mut ids = Vec::new();
    let started = processor_time()?;
    for at in 0..services {
        let spec = spec(at, replicas(at));
        let service = world.execute(CreateService { namespace: Namespace::default_namespace(), spec })?;
        ids.push((service.id, service.spec.replicas));
        loop {
            let plan =
                world.execute(ReconcileService { service: service.id, scheduler: Arc::clone(scheduler) })?;
            if plan.look_again.is_none_or(|at| at > world.now) {
                break;
            }
        }
    }
    let elapsed = processor_time()?.saturating_sub(started);
    if let Err(wrong) = invariants::check(&world.cluster) {
        anyhow::bail!("invariants are broken: {wrong:#?}");
    }
    let mut placed = 0;
    for (service, replicas) in ids {
        let assigned = world.cluster.tasks_of_service(service).filter(|task| task.node.is_some()).count();
        anyhow::ensure!(assigned == replicas as usize, "{assigned} of {replicas} replicas have a node");
        placed += assigned;
    }
    Ok((placed, elapsed))
}

/// Of this thread, so that what else the machine does is not in it.
fn processor_time() -> anyhow::Result<Duration> {
    const PATH: &str = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("{PATH} is needed"))?;
    let nanos = text.split_whitespace().next().with_context(|| format!("{PATH} is empty"))?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Zones and disks, so that constraints have something to choose by.
fn label_nodes(world: &mut World) {
    let nodes: Vec<_> = world.cluster.nodes().cloned().collect();
    let mut transaction = orch_core::cluster::Transaction::default();
    for (at, node) in nodes.iter().enumerate() {
        let mut node = (**node).clone();
        node.labels.insert("zone".to_owned(), format!("z{}", at % ZONES));
        node.labels.insert("disk".to_owned(), DISKS[at % DISKS.len()].to_owned());
        transaction.put(node);
    }
    world.apply(transaction);
}

/// Sizes from 1 to 1,000; most are small.
fn mixed_replicas(at: usize) -> u32 {
    match at % 10 {
        0 => 1_000,
        1 | 2 => 300,
        3..=5 => 50,
        other => u32::try_from(other).unwrap_or(1) - 5,
    }
}

/// Twenty-seven constraint sets, resources and a dynamic port each.
fn spec(at: usize, replicas: u32) -> ServiceSpec {
    let mut spec = web_spec(&format!("service-{at}"), replicas);
    let unless = |key: &str, value: String| Constraint { key: key.to_owned(), rule: Rule::NotEquals(value) };
    if !at.is_multiple_of(9) {
        spec.constraints.push(unless("zone", format!("z{}", at % 9 % ZONES)));
    }
    if !at.is_multiple_of(3) {
        spec.constraints.push(unless("disk", DISKS[at % DISKS.len()].to_owned()));
    }
    let millis = 50 + 50 * (at as u64 % 5);
    spec.template.requests = Resources::new(millis, (64 + 32 * (at as u64 % 7)) << 20);
    spec.template.limits = spec.template.requests;
    spec
}
