//! Which nodes can take a task: one reason per filter, and the one rule of fit that everything shares (M14).

use std::ops::RangeInclusive;

use crate::cluster::NodeUsage;
use crate::node::{Node, NodeStatus, Resources};
use crate::service::port::DYNAMIC_PORTS;
use crate::service::{Constraint, Protocol, Publish, ServiceSpec};
use crate::task::Task;

/// Why a node cannot take a task. The first that applies is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit<'a> {
    /// No heartbeat comes from it.
    Offline,
    /// It is being emptied.
    Draining,
    /// It takes no new tasks.
    Cordoned,
    /// The engine that would run it cannot be reached.
    EngineAway,
    /// Its identity has ended.
    Revoked,
    /// A label rule does not hold.
    Constraint(&'a Constraint),
    /// Too little CPU is free, in thousandths of a core.
    Cpu {
        /// What the task reserves.
        needs: u64,
        /// What is free.
        has: u64,
    },
    /// Too little memory is free, in bytes.
    Memory {
        /// What the task reserves.
        needs: u64,
        /// What is free.
        has: u64,
    },
    /// Another task owns the host port.
    PortTaken(Protocol, u16),
    /// None of [`DYNAMIC_PORTS`] is free.
    NoDynamicPort,
}

/// What one task takes of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// CPU and memory.
    pub requests: Resources,
    /// Host ports that it must have.
    pub fixed: Vec<(Protocol, u16)>,
    /// How many free ports of [`DYNAMIC_PORTS`] it needs, by protocol.
    pub dynamic: [(Protocol, usize); 2],
}

impl Demand {
    /// Of a task yet to be made from `spec`.
    #[must_use]
    pub fn of_spec(spec: &ServiceSpec) -> Self {
        let mut demand = Self::new(spec.template.requests);
        for port in &spec.template.ports {
            match port.publish {
                Publish::Fixed(host_port) => demand.fixed.push((port.protocol, host_port.get())),
                Publish::Dynamic => {
                    for (protocol, count) in &mut demand.dynamic {
                        *count += usize::from(*protocol == port.protocol);
                    }
                }
            }
        }
        demand
    }

    /// Of a task that has its ports already.
    #[must_use]
    pub fn of_task(task: &Task) -> Self {
        let fixed = task.ports.iter().map(|port| (port.protocol, port.host_port.get())).collect();
        Self { fixed, ..Self::new(task.requests) }
    }

    const fn new(requests: Resources) -> Self {
        Self { requests, fixed: Vec::new(), dynamic: [(Protocol::Tcp, 0), (Protocol::Udp, 0)] }
    }
}

/// Whether `node` may be given tasks of a service with these constraints at all, whatever room it has.
///
/// # Errors
/// Why not.
pub fn admits<'a>(node: &Node, constraints: &'a [Constraint]) -> Result<(), Misfit<'a>> {
    match node.status {
        NodeStatus::Ready if node.cordoned => return Err(Misfit::Cordoned),
        NodeStatus::Ready if node.engine_trouble.is_some() => return Err(Misfit::EngineAway),
        NodeStatus::Ready => {}
        NodeStatus::Draining => return Err(Misfit::Draining),
        NodeStatus::Offline { .. } => return Err(Misfit::Offline),
        NodeStatus::Revoked => return Err(Misfit::Revoked),
    }
    match constraints.iter().find(|constraint| !constraint.holds(node.label(&constraint.key))) {
        Some(constraint) => Err(Misfit::Constraint(constraint)),
        None => Ok(()),
    }
}

/// Whether there is room on `node` beside what `usage` says is taken: the one rule that scheduler and invariants share.
///
/// # Errors
/// What is lacking.
pub fn fits(node: &Node, usage: &NodeUsage, demand: &Demand) -> Result<(), Misfit<'static>> {
    let free = node.allocatable.less(usage.reserved);
    let needs = demand.requests;
    if needs.cpu_millis > free.cpu_millis {
        return Err(Misfit::Cpu { needs: needs.cpu_millis, has: free.cpu_millis });
    }
    if needs.memory_bytes > free.memory_bytes {
        return Err(Misfit::Memory { needs: needs.memory_bytes, has: free.memory_bytes });
    }
    if let Some(&(protocol, port)) = demand.fixed.iter().find(|port| usage.ports.contains(*port)) {
        return Err(Misfit::PortTaken(protocol, port));
    }
    for (protocol, count) in demand.dynamic {
        if count > 0 && !has_dynamic_ports(usage, demand, protocol, count) {
            return Err(Misfit::NoDynamicPort);
        }
    }
    Ok(())
}

fn has_dynamic_ports(usage: &NodeUsage, demand: &Demand, protocol: Protocol, count: usize) -> bool {
    let all = DYNAMIC_PORTS.count();
    // The ports are counted only where they could run out.
    if usage.ports.len() + demand.fixed.len() + count <= all {
        return true;
    }
    let range: RangeInclusive<(Protocol, u16)> =
        (protocol, *DYNAMIC_PORTS.start())..=(protocol, *DYNAMIC_PORTS.end());
    let fixed = demand.fixed.iter().filter(|port| range.contains(port)).count();
    usage.ports.range(range).count() + fixed + count <= all
}
