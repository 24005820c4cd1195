//! What one change costs in clusters of different sizes: it must not grow with the cluster.

use std::sync::Arc;
use std::time::Instant;

use orch_core::command::{CreateService, ReconcileService, ScaleService};
use orch_core::id::ServiceId;
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::schedule::{FilterAndScore, Scheduler};
use orch_core::testing::decide::{World, web_spec};

use crate::report::median;

/// Tasks a node, and replicas a service.
const PACKED: u32 = 50;
const CHANGES: usize = 400;

pub(super) const fn name(tasks: u32) -> &'static str {
    match tasks {
        1_000 => "change_among_1k_tasks",
        10_000 => "change_among_10k_tasks",
        100_000 => "change_among_100k_tasks",
        _ => "change_among_1m_tasks",
    }
}

/// For 1,000 tasks and each ten times more up to `most`: microseconds of one change, decided, reconciled and applied.
pub(super) fn measure(most: u32) -> anyhow::Result<Vec<(u32, f64)>> {
    let sizes = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= most.max(1_000));
    sizes.map(|tasks| Ok((tasks, one_change(tasks)?))).collect()
}

/// One replica more, and one fewer, of a service of many, again and again.
fn one_change(tasks: u32) -> anyhow::Result<f64> {
    let mut world = World::bare();
    let scheduler: Arc<dyn Scheduler> = Arc::new(FilterAndScore);
    for at in 0..tasks / PACKED {
        world.register_node(&format!("node-{at}"), Resources::new(16_000, 64 << 30));
    }
    let mut services = Vec::new();
    for at in 0..tasks / PACKED {
        let spec = web_spec(&format!("service-{at}"), PACKED);
        let service = world.execute(CreateService { namespace: Namespace::default_namespace(), spec })?.id;
        settle(&mut world, service, &scheduler)?;
        services.push(service);
    }
    let mut took = Vec::with_capacity(CHANGES);
    for at in 0..CHANGES {
        let service = services[at * 7 % services.len()];
        let replicas = PACKED + 1 + u32::from(at % 2 == 0);
        let started = Instant::now();
        world.execute(ScaleService { service, replicas, expected: None })?;
        settle(&mut world, service, &scheduler)?;
        took.push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(took))
}

fn settle(world: &mut World, service: ServiceId, scheduler: &Arc<dyn Scheduler>) -> anyhow::Result<()> {
    loop {
        let plan = world.execute(ReconcileService { service, scheduler: Arc::clone(scheduler) })?;
        if plan.look_again.is_none_or(|at| at > world.now) {
            return Ok(());
        }
    }
}
