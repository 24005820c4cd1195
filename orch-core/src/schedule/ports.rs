//! Which host ports a task gets on its node.

use std::num::NonZeroU16;

use imbl::OrdSet;

use crate::cluster::Cluster;
use crate::id::{NodeId, ServiceId, TypedId as _};
use crate::service::port::{AssignedPort, DYNAMIC_PORTS};
use crate::service::{PortSpec, Protocol, Publish};

/// Where the search for a free dynamic port begins. It moves on with the cluster, so that a port which was just released
/// is not handed out again at once, to a client that still talks to its former owner. Each node begins elsewhere: several
/// may be one machine.
#[must_use]
pub fn search_start(cluster: &Cluster, service: ServiceId, node: NodeId) -> u16 {
    let fold = |(high, low): (u64, u64)| high ^ low;
    // A multiplier without a pattern carries nodes apart whose ids are neighbours.
    let apart = fold(node.uuid().as_u64_pair()).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let salt = fold(service.uuid().as_u64_pair()) ^ apart;
    // 17 is prime to the size of the range: a service that is placed again and again walks through all of it.
    let turn = salt.wrapping_add(cluster.revision().0.wrapping_mul(17));
    let offset = turn % DYNAMIC_PORTS.count() as u64;
    DYNAMIC_PORTS.start() + u16::try_from(offset).expect("the range is smaller than the ports are many")
}

/// A host port for each port of a spec: the fixed ones as asked for, the dynamic ones the next free from `start` on.
/// `None`: one of them cannot be had.
#[must_use]
pub fn assign(specs: &[PortSpec], taken: &OrdSet<(Protocol, u16)>, start: u16) -> Option<Vec<AssignedPort>> {
    let mut assigned: Vec<AssignedPort> = Vec::with_capacity(specs.len());
    let fixed = |protocol, port: u16| {
        let asked = |spec: &PortSpec| matches!(spec.publish, Publish::Fixed(p) if p.get() == port);
        specs.iter().any(|spec| spec.protocol == protocol && asked(spec))
    };
    for spec in specs {
        let mine = |port: u16| {
            assigned.iter().any(|other| other.protocol == spec.protocol && other.host_port.get() == port)
        };
        let free = |port: u16| !taken.contains(&(spec.protocol, port)) && !mine(port);
        let host_port = match spec.publish {
            Publish::Fixed(port) => Some(port).filter(|port| free(port.get())),
            Publish::Dynamic => (start..=*DYNAMIC_PORTS.end())
                .chain(*DYNAMIC_PORTS.start()..start)
                .find(|port| free(*port) && !fixed(spec.protocol, *port))
                .and_then(NonZeroU16::new),
        }?;
        assigned.push(AssignedPort {
            name: spec.name.clone(),
            protocol: spec.protocol,
            container_port: spec.container_port,
            host_port,
        });
    }
    Some(assigned)
}
