//! Placements a second on one core: many services of many sizes and constraint sets, decided *and* applied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use orch_core::command::{CreateService, ReconcileService};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::schedule::FilterAndScore;
use orch_core::service::{Constraint, Rule, ServiceSpec};
use orch_core::testing::decide::{World, web_spec};

use crate::report::{Goal, Report, median};

#[derive(Args)]
pub(crate) struct Options {
    /// Nodes of the cluster.
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// Services to place, of 1 to 1,000 replicas.
    #[arg(long, default_value_t = 200)]
    services: usize,
    /// Whole repetitions; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1_000, services: 200, rounds: 5 }
    }
}

const ZONES: usize = 8;
const DISKS: [&str; 3] = ["ssd", "hdd", "nvme"];
const GI: u64 = 1 << 30;

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    let mut rates = Vec::new();
    let mut placed = 0;
    for _ in 0..options.rounds.max(1) {
        let (count, elapsed) = round(options)?;
        placed = count;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        rates.push(count as f64 / elapsed.as_secs_f64());
    }
    let mut report = Report::new("place");
    #[expect(clippy::cast_precision_loss, reason = "counts for people")]
    report
        .figure("nodes", options.nodes as f64, "")
        .figure("services", options.services as f64, "")
        .figure("tasks", placed as f64, "")
        .held("placements_per_second", median(rates), "1/s", Goal::AtLeast(50_000.0));
    Ok(report)
}

fn round(options: &Options) -> anyhow::Result<(usize, Duration)> {
    let mut world = World::new();
    for at in 0..options.nodes {
        world.register_node(&format!("node-{at}"), Resources::new(64_000, 256 * GI));
    }
    label_nodes(&mut world);
    let scheduler: Arc<FilterAndScore> = Arc::new(FilterAndScore);
    let mut ids = Vec::new();
    let started = Instant::now();
    for at in 0..options.services {
        let spec = spec(at);
        let service = world.execute(CreateService { namespace: Namespace::default_namespace(), spec })?;
        ids.push((service.id, service.spec.replicas));
        loop {
            let plan =
                world.execute(ReconcileService { service: service.id, scheduler: scheduler.clone() })?;
            if plan.look_again.is_none_or(|at| at > world.now) {
                break;
            }
        }
    }
    let elapsed = started.elapsed();
    let mut placed = 0;
    for (service, replicas) in ids {
        let assigned = world.cluster.tasks_of_service(service).filter(|task| task.node.is_some()).count();
        anyhow::ensure!(assigned == replicas as usize, "{assigned} of {replicas} replicas have a node");
        placed += assigned;
    }
    Ok((placed, elapsed))
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

/// Sizes from 1 to 1,000 (most are small), twenty-seven constraint sets, resources and a dynamic port each.
fn spec(at: usize) -> ServiceSpec {
    let replicas = match at % 10 {
        0 => 1_000,
        1 | 2 => 300,
        3..=5 => 50,
        other => u32::try_from(other).unwrap_or(1) - 5,
    };
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
