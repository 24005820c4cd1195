//! Whatever is asked of a cluster, in whatever order: its invariants hold (the [`World`] checks them after each transaction),
//! statuses move only as they may, and its rows are all there is to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orch_core::agent::Heartbeat;
use orch_core::cluster::{Change, Cluster, Key, fold};
use orch_core::command::apply_service::ApplyTarget;
use orch_core::command::{
    ApplyService, CordonNode, CreateNamespace, CreateService, DeleteNamespace, DeleteService, DrainNode,
    HeartbeatNode, NodeFellSilent, PruneState, RegisterNode, Rejection, RemoveNode, ReportTasks, ResetNode,
    RevokeNode, RollBack, RollOut, ScaleService, UncordonNode, UseCredential,
};
use orch_core::id::{NodeId, ServiceId};
use orch_core::identity::{
    Attestation, CredentialBinding, NodePrincipal, NodePublicKey, Principal, Proven, RegistrationClaim, Scope,
};
use orch_core::name::Namespace;
use orch_core::node::{Incarnation, Resources};
use orch_core::reconcile::reconcile;
use orch_core::schedule::FilterAndScore;
use orch_core::service::{ServiceSpec, Version};
use orch_core::task::{Attempt, DesiredStatus, Exit, Failure, FailureKind, Health, TaskReport, TaskStatus};
use orch_core::testing::decide::issued;
use orch_core::testing::{World, web_spec};
use proptest::prelude::*;

/// One thing that happens. Numbers pick among what is there.
#[derive(Clone, Debug)]
enum Step {
    Apply { name: u8, spec: Shape, namespace: u8, dry_run: bool },
    Create { name: u8, spec: Shape },
    Scale { service: u8, replicas: u32 },
    RollOut { service: u8, image: u8 },
    RollBack { service: u8, to: Option<u32> },
    Delete { service: u8 },
    Reconcile { service: u8 },
    Register { name: u8, key: bool },
    Node { node: u8, act: NodeAct },
    Report { task: u16, attempt: u32, status: TaskStatus },
    MakeNamespace,
    DropNamespace,
    Advance { seconds: u32 },
    Prune { limit: usize },
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    replicas: u32,
    image: u8,
    stateful: bool,
    fixed_port: bool,
    labelled: bool,
}

#[derive(Clone, Copy, Debug)]
enum NodeAct {
    Drain,
    Uncordon,
    Cordon,
    Revoke,
    Reset,
    Remove,
    FallSilent,
    Heartbeat { shutdown: bool },
    UseNext,
}

fn shape() -> impl Strategy<Value = Shape> {
    (0..5u32, 1..4u8, prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(replicas, image, stateful, fixed_port, labelled)| Shape {
            replicas,
            image,
            stateful,
            fixed_port,
            labelled,
        },
    )
}

fn status() -> impl Strategy<Value = TaskStatus> {
    let failure = Failure { kind: FailureKind::Exited, reason: "exit 1".to_owned(), exit: None };
    prop_oneof![
        4 => Just(TaskStatus::Running(Health::Unchecked)),
        4 => Just(TaskStatus::Running(Health::Healthy)),
        1 => Just(TaskStatus::Running(Health::Unhealthy)),
        1 => Just(TaskStatus::Assigned),
        1 => Just(TaskStatus::Pulling),
        1 => Just(TaskStatus::Pending),
        1 => Just(TaskStatus::Stopping),
        1 => Just(TaskStatus::Stopped(Some(Exit { code: Some(0), ..Exit::default() }))),
        1 => Just(TaskStatus::Failed(failure)),
        4 => Just(TaskStatus::Removed),
    ]
}

fn node_act() -> impl Strategy<Value = NodeAct> {
    prop_oneof![
        2 => Just(NodeAct::Drain),
        2 => Just(NodeAct::Uncordon),
        1 => Just(NodeAct::Cordon),
        1 => Just(NodeAct::Revoke),
        1 => Just(NodeAct::Reset),
        1 => Just(NodeAct::Remove),
        2 => Just(NodeAct::FallSilent),
        4 => prop::bool::weighted(0.2).prop_map(|shutdown| NodeAct::Heartbeat { shutdown }),
        2 => Just(NodeAct::UseNext),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3u8, shape(), 0..2u8, prop::bool::weighted(0.1))
            .prop_map(|(name, spec, namespace, dry_run)| Step::Apply { name, spec, namespace, dry_run }),
        2 => (0..3u8, shape()).prop_map(|(name, spec)| Step::Create { name, spec }),
        2 => (any::<u8>(), 0..6u32).prop_map(|(service, replicas)| Step::Scale { service, replicas }),
        2 => (any::<u8>(), 1..4u8).prop_map(|(service, image)| Step::RollOut { service, image }),
        2 => (any::<u8>(), prop::option::weighted(0.3, 0..6u32))
            .prop_map(|(service, to)| Step::RollBack { service, to }),
        1 => any::<u8>().prop_map(|service| Step::Delete { service }),
        10 => any::<u8>().prop_map(|service| Step::Reconcile { service }),
        4 => (0..4u8, prop::bool::weighted(0.8)).prop_map(|(name, key)| Step::Register { name, key }),
        6 => (any::<u8>(), node_act()).prop_map(|(node, act)| Step::Node { node, act }),
        12 => (any::<u16>(), 1..3u32, status())
            .prop_map(|(task, attempt, status)| Step::Report { task, attempt, status }),
        1 => Just(Step::MakeNamespace),
        1 => Just(Step::DropNamespace),
        3 => (1..400u32).prop_map(|seconds| Step::Advance { seconds }),
        1 => (1..20usize).prop_map(|limit| Step::Prune { limit }),
    ]
}

fn spec(name: u8, shape: Shape) -> ServiceSpec {
    let mut spec = web_spec(&format!("s{name}"), shape.replicas);
    spec.template.image = format!("web:{}", shape.image).parse().expect("an image");
    spec.stateful = shape.stateful;
    if shape.fixed_port {
        let port = std::num::NonZeroU16::new(80).expect("not zero");
        spec.template.ports[0].publish = orch_core::service::Publish::Fixed(port);
    }
    if shape.labelled {
        spec.labels.insert("team".to_owned(), "a".to_owned());
    }
    spec
}

fn team() -> Namespace {
    "team".parse().expect("a namespace")
}

fn pick<T: Copy>(of: &[T], number: usize) -> Option<T> {
    (!of.is_empty()).then(|| of[number % of.len()])
}

fn services(world: &World) -> Vec<ServiceId> {
    world.cluster.services().map(|service| service.id).collect()
}

/// What a step is answered with does not matter here: a rejection writes nothing, and the world checks what was written.
fn take(world: &mut World, step: Step) -> Option<Rejection> {
    let service = |world: &World, number: u8| pick(&services(world), number.into());
    match step {
        Step::Apply { name, spec: shape, namespace, dry_run } => {
            let namespace = if namespace == 0 { Namespace::default_namespace() } else { team() };
            let (target, spec) = (ApplyTarget::Name, spec(name, shape));
            let command = ApplyService { namespace, target, spec, expected: None, dry_run };
            world.execute(command).err()
        }
        Step::Create { name, spec: shape } => {
            let namespace = Namespace::default_namespace();
            world.execute(CreateService { namespace, spec: spec(name, shape) }).err()
        }
        Step::Scale { service: number, replicas } => {
            let service = service(world, number)?;
            world.execute(ScaleService { service, replicas, expected: None }).err()
        }
        Step::RollOut { service: number, image } => {
            let (service, image) =
                (service(world, number)?, format!("web:{image}").parse().expect("an image"));
            world.execute(RollOut { service, image, max_unavailable: None, max_surge: None }).err()
        }
        Step::RollBack { service: number, to } => {
            let service = service(world, number)?;
            world.execute(RollBack { service, to_version: to.map(Version) }).err()
        }
        Step::Delete { service: number } => {
            let service = service(world, number)?;
            world.execute(DeleteService { service }).err()
        }
        Step::Reconcile { service: number } => {
            let service = service(world, number)?;
            let plan = world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx));
            world.apply(plan.transaction);
            None
        }
        Step::Register { name, key } => register(world, name, key).err(),
        Step::Node { node, act } => {
            let nodes: Vec<_> = world.cluster.nodes().map(|node| node.id).collect();
            let node = pick(&nodes, node.into())?;
            act_on(world, node, act).err()
        }
        Step::Report { task, attempt, status } => {
            let tasks: Vec<_> = world.cluster.tasks().map(|task| task.id).collect();
            let task = world.cluster.task(pick(&tasks, task.into())?)?.clone();
            let report = TaskReport::new(task.id, Some(Attempt(attempt)), status);
            let node = task.node?;
            let principal = world.principal_of(node);
            world.execute_as(&principal, &Scope::Node(node), ReportTasks { reports: vec![report] }).err()
        }
        Step::MakeNamespace => world.execute(CreateNamespace { name: team() }).err(),
        Step::DropNamespace => world.execute(DeleteNamespace { name: team() }).err(),
        Step::Advance { seconds } => {
            world.advance(Duration::from_secs(seconds.into()));
            None
        }
        Step::Prune { limit } => {
            let removed = world.execute(PruneState { limit }).expect("pruning is never refused");
            assert!(removed <= limit);
            None
        }
    }
}

fn register(world: &mut World, name: u8, key: bool) -> Result<(), Rejection> {
    let name = format!("n{name}").parse().expect("a node name");
    let (before, fresh) = (world.cluster.node_named(&name).cloned(), world.ids.next());
    let (id, incarnation) = before.as_ref().map_or((fresh, 0), |node| (node.id, node.incarnation.0));
    let resources = Resources::new(500, 1 << 30);
    let command = RegisterNode {
        claim: RegistrationClaim {
            facts: Default::default(),
            advertise_address: "127.0.0.1".to_owned(),
            labels: BTreeMap::new(),
            capacity: resources,
            allocatable: resources,
            agent_version: "0.3.0".to_owned(),
            boot: None,
            name: name.clone(),
        },
        proven: if key {
            Proven::by(Attestation::StaticToken)
                .with_key(NodePublicKey(format!("key of {name}")), incarnation)
        } else {
            Proven::by(Attestation::StaticToken)
        },
        credential: issued(1, world.now),
        credential_for: (id, Incarnation(incarnation + 1)),
        binding: CredentialBinding::Token,
        active_boot: false,
    };
    world.execute(command).map(|_| ())
}

fn act_on(world: &mut World, node: NodeId, act: NodeAct) -> Result<(), Rejection> {
    match act {
        NodeAct::Drain => world.execute(DrainNode { node, within: None }).map(|_| ()),
        NodeAct::Uncordon => world.execute(UncordonNode { node }).map(|_| ()),
        NodeAct::Cordon => world.execute(CordonNode { node }).map(|_| ()),
        NodeAct::Revoke => world.execute(RevokeNode { node }).map(|_| ()),
        NodeAct::Reset => world.execute(ResetNode { node }).map(|_| ()),
        NodeAct::Remove => world.execute(RemoveNode { node, confirmed_dead: true }),
        NodeAct::FallSilent => {
            let incarnation = world.cluster.node(node).expect("it was picked").incarnation;
            world.execute(NodeFellSilent::alone(node, incarnation))
        }
        NodeAct::Heartbeat { shutdown } => {
            let newest = world.cluster.credential(node).map_or(0, |row| row.newest_generation());
            let heartbeat = Heartbeat { shutdown, ..Heartbeat::default() };
            let command = HeartbeatNode { heartbeat, next: issued(newest + 1, world.now) };
            let principal = world.principal_of(node);
            world.execute_as(&principal, &Scope::Node(node), command).map(|_| ())
        }
        NodeAct::UseNext => {
            let next = world.cluster.credential(node).map_or(0, |row| row.newest_generation());
            let Principal::Node(principal) = world.principal_of(node) else { unreachable!() };
            let principal = Principal::Node(NodePrincipal { generation: next, ..principal });
            world.execute_as(&principal, &Scope::Node(node), UseCredential {})
        }
    }
}

/// What holds between two images of which the later follows from the earlier.
fn moved_as_allowed(before: &Cluster, after: &Cluster) -> Result<(), TestCaseError> {
    for deployment in after.deployments() {
        if let Some(old) = before.deployment(deployment.id) {
            let (from, to) = (old.status, deployment.status);
            prop_assert!(from == to || from.may_become(to), "a rollout went from {from:?} to {to:?}");
        }
    }
    for task in after.tasks() {
        let Some(old) = before.task(task.id) else { continue };
        prop_assert!(task.desired >= old.desired, "what is wanted of a task only moves on");
        prop_assert!(old.node.is_none() || task.node == old.node, "a task moved to another node");
        prop_assert!(task.attempt >= old.attempt);
        prop_assert!(!old.status.is_terminal() || task.status.is_terminal(), "a task came back to life");
        prop_assert!(task.desired == DesiredStatus::Running || task.stop_cause.is_some());
    }
    for service in after.services() {
        let Some(old) = before.service(service.id) else { continue };
        prop_assert!(service.newest_version >= old.newest_version);
        prop_assert!(service.status as u8 >= old.status as u8, "a service came back to life");
        let same = Arc::ptr_eq(service, old) || service == old;
        prop_assert!(same || service.revision == after.revision(), "a change that `If-Match` would not see");
    }
    for node in after.nodes() {
        let Some(old) = before.node(node.id) else { continue };
        prop_assert!(node.incarnation >= old.incarnation);
        prop_assert_eq!(&node.name, &old.name);
        if let (Some(now), Some(then)) = (after.credential(node.id), before.credential(node.id)) {
            let issued = (now.incarnation, now.newest_generation());
            prop_assert!(
                issued >= (then.incarnation, then.newest_generation()),
                "a generation was given out twice"
            );
        }
    }
    Ok(())
}

fn rows(cluster: &Cluster) -> Vec<Change> {
    cluster.rows().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_requests_breaks_an_invariant(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for name in 0..3 {
            register(&mut world, name, true).expect("a new name");
        }
        for step in steps {
            let before = world.cluster.clone();
            let rejected = take(&mut world, step).is_some();
            prop_assert!(!rejected || world.cluster.revision() == before.revision(), "a rejection wrote something");
            prop_assert!(world.cluster.revision().0 - before.revision().0 <= 1);
            moved_as_allowed(&before, &world.cluster)?;
        }

        let again = Cluster::from_rows(world.cluster.id(), world.cluster.revision(), world.cluster.rows());
        prop_assert_eq!(rows(&again), rows(&world.cluster));

        // What a store keeps of the folded history is the present state, too.
        let kept: BTreeMap<Key, &Change> = fold(&world.history)
            .into_iter()
            .filter(|(_, change)| !matches!(change, Change::Remove(_)))
            .collect();
        let present: Vec<_> = rows(&world.cluster);
        let present: BTreeMap<Key, &Change> = present.iter().map(|row| (row.key(), row)).collect();
        prop_assert_eq!(kept, present);
        prop_assert_eq!(world.cluster.revision().0 as usize, world.history.len());
    }

    #[test]
    fn equal_histories_give_equal_clusters(steps in prop::collection::vec(step(), 1..60)) {
        let run = || {
            let mut world = World::new();
            for step in &steps {
                take(&mut world, step.clone());
            }
            world
        };
        let (a, b) = (run(), run());
        prop_assert_eq!(rows(&a.cluster), rows(&b.cluster));
        prop_assert_eq!((a.events, a.audit), (b.events, b.audit));
    }
}
