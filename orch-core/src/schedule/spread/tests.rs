//! The search answers what a scan of every node answers, bit for bit.

use std::num::NonZeroU16;

use proptest::prelude::*;

use super::FilterAndScore;
use crate::cluster::Transaction;
use crate::command::CreateService;
use crate::id::{NodeId, ServiceId};
use crate::name::Namespace;
use crate::node::{NodeStatus, OfflineCause, Resources};
use crate::schedule::{Placement, Problem, Scheduler as _};
use crate::service::Strategy as Layout;
use crate::service::{Constraint, PortSpec, Protocol, Publish, Rule, ServiceSpec};
use crate::task::{Exit, Slot, TaskStatus};
use crate::testing::reference::ScanEveryNode;
use crate::testing::{World, web_spec};

#[derive(Clone, Debug)]
struct Machine {
    size: usize,
    zone: u8,
    disk: u8,
    state: u8,
}

#[derive(Clone, Debug)]
struct Shape {
    replicas: u32,
    packed: bool,
    cpu: u64,
    memory: u64,
    ports: Vec<(bool, u8)>,
    rules: Vec<(bool, bool, u8)>,
    avoided: Vec<usize>,
    /// Every so many of its tasks comes to its end.
    ends: usize,
}

const SIZES: [Resources; 5] = [
    Resources::new(4_000, 8 << 30),
    Resources::new(4_000, 8 << 30),
    Resources::new(16_000, 16 << 30),
    Resources::new(1_000, 64 << 30),
    Resources::new(0, 1 << 20),
];

fn machine() -> impl Strategy<Value = Machine> {
    (0..SIZES.len(), 0..3u8, 0..2u8, prop_oneof![8 => Just(0), 1 => 1..6u8])
        .prop_map(|(size, zone, disk, state)| Machine { size, zone, disk, state })
}

fn shape() -> impl Strategy<Value = Shape> {
    let cpu = prop_oneof![3 => 0..400u64, 1 => 400..6_000u64, 1 => Just(100)];
    let memory = prop_oneof![3 => 0..(256u64 << 20), 1 => 0..(12u64 << 30), 1 => Just(0)];
    let port = (any::<bool>(), 0..3u8);
    let rule = (any::<bool>(), any::<bool>(), 0..3u8);
    (
        (prop_oneof![3 => 1..4u32, 1 => 1..120u32], any::<bool>()),
        cpu,
        memory,
        proptest::collection::vec(port, 0..3),
        proptest::collection::vec(rule, 0..2),
        proptest::collection::vec(0..80usize, 0..2),
        1..6usize,
    )
        .prop_map(|((replicas, packed), cpu, memory, ports, rules, avoided, ends)| Shape {
            replicas,
            packed,
            cpu,
            memory,
            ports,
            rules,
            avoided,
            ends,
        })
}

fn spec_of(at: usize, shape: &Shape) -> ServiceSpec {
    let mut spec = web_spec(&format!("service-{at}"), shape.replicas);
    spec.strategy = if shape.packed { Layout::Binpack } else { Layout::Spread };
    spec.template.requests = Resources::new(shape.cpu, shape.memory);
    spec.template.limits = Resources::default();
    let port = |(at, (udp, fixed)): (u16, &(bool, u8))| PortSpec {
        name: None,
        protocol: if *udp { Protocol::Udp } else { Protocol::Tcp },
        container_port: NonZeroU16::new(80 + at).expect("not zero"),
        publish: match fixed {
            0 => Publish::Dynamic,
            n => Publish::Fixed(NonZeroU16::new(8_000 + u16::from(*n)).expect("not zero")),
        },
    };
    // A fixed port is asked for once.
    let again = |at: usize| shape.ports[at].1 > 0 && shape.ports[..at].contains(&shape.ports[at]);
    let ports = (0u16..).zip(&shape.ports).filter(|(at, _)| !again(usize::from(*at)));
    spec.template.ports = ports.map(port).collect();
    spec.constraints = shape
        .rules
        .iter()
        .map(|(zone, equal, value)| Constraint {
            key: if *zone { "zone" } else { "disk" }.to_owned(),
            rule: if *equal { Rule::Equals(value.to_string()) } else { Rule::NotEquals(value.to_string()) },
        })
        .collect();
    spec
}

fn nodes(world: &mut World, machines: &[Machine]) -> Vec<NodeId> {
    let mut transaction = Transaction::default();
    let now = world.now;
    let model = world.register_node("model", Resources::new(1, 1));
    let model = (**world.cluster.node(model).expect("it is there")).clone();
    for (at, machine) in machines.iter().enumerate() {
        let mut node = model.clone();
        node.id = world.ids.next();
        node.name = format!("node-{at}").parse().expect("a name");
        node.allocatable = SIZES[machine.size];
        node.labels.insert("zone".to_owned(), machine.zone.to_string());
        if machine.disk > 0 {
            node.labels.insert("disk".to_owned(), machine.disk.to_string());
        }
        match machine.state {
            1 => node.status = NodeStatus::Draining,
            2 => {
                let cause = OfflineCause::Silent;
                node.status = NodeStatus::Offline { since: now, cause, draining: false };
            }
            3 => node.cordoned = true,
            4 => node.status = NodeStatus::Revoked,
            _ => {}
        }
        transaction.put(node);
    }
    world.apply(transaction);
    world.cluster.nodes().map(|node| node.id).collect()
}

/// Puts the solution's tasks where it says, some of them at their end.
fn settle(world: &mut World, service: ServiceId, shape: &Shape, placements: Vec<Placement>) {
    let first = world.place(service, 0, None);
    let model = (**world.cluster.task(first).expect("it is there")).clone();
    let mut transaction = Transaction::default();
    for (slot, placement) in (1u32..).zip(placements) {
        let mut task = model.clone();
        task.id = world.ids.next();
        task.slot = Slot(slot);
        task.node = Some(placement.node);
        task.ports = placement.ports;
        task.status = TaskStatus::Assigned;
        if (slot as usize).is_multiple_of(shape.ends) {
            task.status = TaskStatus::Stopped(Some(Exit::default()));
        }
        transaction.put(task);
    }
    world.apply(transaction);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_search_answers_what_a_scan_answers(
        machines in proptest::collection::vec(machine(), 0..70),
        shapes in proptest::collection::vec(shape(), 1..8),
    ) {
        let mut world = World::new();
        let nodes = nodes(&mut world, &machines);
        for (at, shape) in shapes.iter().enumerate() {
            let spec = spec_of(at, shape);
            let create = CreateService { namespace: Namespace::default_namespace(), spec };
            let service = world.execute(create).expect("the name is free");
            let avoid: Vec<NodeId> =
                shape.avoided.iter().filter_map(|at| nodes.get(*at).copied()).collect();
            // Twice: the second time tasks of the service itself are there.
            for count in [shape.replicas, 1 + shape.replicas / 8] {
                let problem = Problem {
                    cluster: &world.cluster,
                    spec: &service.spec,
                    service: service.id,
                    count,
                    avoid: &avoid,
                };
                let found = FilterAndScore.solve(&problem);
                prop_assert_eq!(&found, &ScanEveryNode.solve(&problem));
                settle(&mut world, service.id, shape, found.placements);
            }
        }
    }
}
