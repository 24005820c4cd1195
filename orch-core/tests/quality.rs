//! How good placements are, against an exact solver: small instances, shaped like the traces that Google (Borg) and Alibaba
//! have published: most tasks take a small share of a machine, few a large one, and CPU and memory go together loosely.

use std::collections::BTreeMap;

use good_lp::{
    Expression, ProblemVariables, ResolutionError, Solution as _, SolverModel as _, Variable, constraint,
    microlp, variable,
};
use orch_core::cluster::Transaction;
use orch_core::command::CreateService;
use orch_core::id::{NodeId, ServiceId};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::schedule::{FilterAndScore, Problem, Scheduler as _};
use orch_core::service::Strategy;
use orch_core::task::{Slot, TaskStatus};
use orch_core::testing::{World, web_spec};

const NODE: Resources = Resources::new(8_000, 32 << 30);

/// Numbers from a seed: the same instances on every machine.
struct Dice(u64);

impl Dice {
    /// From 0 to just below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        // The splitmix generator.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Equal tasks.
#[derive(Clone, Copy, Debug)]
struct Job {
    count: u32,
    task: Resources,
}

/// Mostly a few per cent of a node a task, now and then up to a half of it.
fn job(dice: &mut Dice) -> Job {
    let cpu = match dice.roll(10) {
        0 => 2_000 + 250 * dice.roll(9),
        1..=3 => 500 + 100 * dice.roll(11),
        _ => 100 + 50 * dice.roll(7),
    };
    // From half as much memory a core as a node has, to one and a half times as much.
    let memory = cpu * (32 << 30) / 8_000 * (50 + dice.roll(101)) / 100;
    Job { count: 1 + u32::try_from(dice.roll(8)).expect("small"), task: Resources::new(cpu, memory) }
}

/// How many tasks of each job each node has.
type Layout = Vec<BTreeMap<NodeId, u32>>;

/// Places the jobs one after another, as they would come; `None`: not all fit.
fn placed(jobs: &[Job], nodes: usize, strategy: Strategy) -> Option<Layout> {
    let mut world = World::new();
    for at in 0..nodes {
        world.register_node(&format!("node-{at}"), NODE);
    }
    let mut layout = Layout::new();
    for (at, job) in jobs.iter().enumerate() {
        let mut spec = web_spec(&format!("job-{at}"), job.count);
        spec.strategy = strategy;
        spec.template.requests = job.task;
        spec.template.limits = job.task;
        spec.template.ports.clear();
        let create = CreateService { namespace: Namespace::default_namespace(), spec };
        let service = world.execute(create).expect("the name is free");
        let problem = Problem {
            cluster: &world.cluster,
            spec: &service.spec,
            service: service.id,
            count: job.count,
            avoid: &[],
        };
        let solution = FilterAndScore.solve(&problem);
        if solution.unplaced.is_some() {
            return None;
        }
        let mut row = BTreeMap::new();
        for placement in &solution.placements {
            *row.entry(placement.node).or_default() += 1;
        }
        layout.push(row);
        let nodes: Vec<NodeId> = solution.placements.iter().map(|placement| placement.node).collect();
        settle(&mut world, service.id, &nodes);
    }
    Some(layout)
}

fn settle(world: &mut World, service: ServiceId, nodes: &[NodeId]) {
    let first = world.place(service, 0, None);
    let model = (**world.cluster.task(first).expect("it is there")).clone();
    let mut transaction = Transaction::default();
    for (slot, node) in (1u32..).zip(nodes) {
        let mut task = model.clone();
        task.id = world.ids.next();
        task.slot = Slot(slot);
        task.node = Some(*node);
        task.status = TaskStatus::Assigned;
        transaction.put(task);
    }
    world.apply(transaction);
}

/// The exact problem: so many tasks of each job on each node, and what all of it must fulfil.
struct Exact {
    variables: ProblemVariables,
    counts: Vec<Vec<Variable>>,
}

impl Exact {
    fn new(jobs: &[Job], nodes: usize) -> Self {
        let mut variables = ProblemVariables::new();
        let counts = jobs
            .iter()
            .map(|job| {
                let count = variable().integer().min(0).max(f64::from(job.count));
                (0..nodes).map(|_| variables.add(count.clone())).collect()
            })
            .collect();
        Self { variables, counts }
    }

    /// The least value of `goal`; `None`: there is no solution at all.
    #[expect(clippy::cast_precision_loss, reason = "shares of a node are small numbers")]
    fn least(self, jobs: &[Job], goal: Option<Variable>, bounded: &[Expression]) -> Option<f64> {
        let Self { variables, counts } = self;
        let objective = goal.map_or_else(|| Expression::from(0.0), Expression::from);
        let mut model = variables.minimise(objective).using(microlp);
        for (job, row) in jobs.iter().zip(&counts) {
            let all: Expression = row.iter().copied().sum();
            model = model.with(constraint!(all == f64::from(job.count)));
        }
        // In thousandths of a node, so that the numbers are of one size.
        let cpu = |job: &Job| job.task.cpu_millis as f64 / NODE.cpu_millis as f64 * 1e3;
        let memory = |job: &Job| job.task.memory_bytes as f64 / NODE.memory_bytes as f64 * 1e3;
        let used = |share: &dyn Fn(&Job) -> f64, node: usize| -> Expression {
            jobs.iter().zip(&counts).map(|(job, row)| share(job) * row[node]).sum()
        };
        for node in 0..counts[0].len() {
            model = model
                .with(constraint!(used(&cpu, node) <= 1e3))
                .with(constraint!(used(&memory, node) <= 1e3));
            // Equal nodes can be told apart by how full they are: a solver need not try each order of them.
            if node > 0 {
                model = model.with(constraint!(used(&cpu, node) <= used(&cpu, node - 1)));
            }
        }
        for bounded in bounded {
            model = model.with(constraint!(bounded.clone() <= 0.0));
        }
        match model.solve() {
            Ok(solution) => Some(goal.map_or(0.0, |goal| solution.value(goal))),
            Err(ResolutionError::Infeasible) => None,
            Err(error) => panic!("the solver failed: {error}"),
        }
    }
}

/// No fewer nodes can hold these jobs, by their sums alone.
fn least_by_sums(jobs: &[Job]) -> usize {
    let sum =
        |of: fn(&Resources) -> u64| jobs.iter().map(|job| of(&job.task) * u64::from(job.count)).sum::<u64>();
    let cpu = sum(|task| task.cpu_millis).div_ceil(NODE.cpu_millis);
    let memory = sum(|task| task.memory_bytes).div_ceil(NODE.memory_bytes);
    usize::try_from(cpu.max(memory)).expect("small")
}

#[test]
fn packing_uses_at_most_two_per_cent_more_nodes_than_the_best_there_is() {
    let (mut used, mut best) = (0, 0);
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let jobs: Vec<Job> = (0..6).map(|_| job(&mut dice)).collect();
        let layout = placed(&jobs, 12, Strategy::Binpack).expect("twelve nodes are enough");
        let ours: std::collections::BTreeSet<_> = layout.iter().flat_map(BTreeMap::keys).collect();
        let mut least = ours.len();
        // A solver is asked only where the sums leave it open.
        while least > least_by_sums(&jobs) && Exact::new(&jobs, least - 1).least(&jobs, None, &[]).is_some() {
            least -= 1;
        }
        used += ours.len();
        best += least;
    }
    assert!(used * 100 <= best * 102, "{used} nodes are used where {best} are enough");
}

#[test]
fn replicas_are_spread_within_one_of_the_best_there_is() {
    for seed in 0..10 {
        let mut dice = Dice(1_000 + seed);
        let nodes = 4;
        let jobs: Vec<Job> = (0..4).map(|_| job(&mut dice)).collect();
        let Some(layout) = placed(&jobs, nodes, Strategy::Spread) else { continue };
        for (at, row) in layout.iter().enumerate() {
            let ours = row.values().max().copied().unwrap_or(0);
            let mut exact = Exact::new(&jobs, nodes);
            let most = exact.variables.add(variable().min(0));
            let below: Vec<Expression> =
                exact.counts[at].iter().map(|count| Expression::from(*count) - most).collect();
            let best = exact.least(&jobs, Some(most), &below).expect("a solution is known");
            assert!(
                f64::from(ours) <= best.round() + 1.0,
                "seed {seed}, job {at}: {ours} replicas on one node, {best} is the least"
            );
        }
    }
}
