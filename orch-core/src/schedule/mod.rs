//! Scheduling: where tasks go. Pure: problem in, placements and reasons out.

use crate::cluster::Cluster;
use crate::id::NodeId;
use crate::service::port::AssignedPort;
use crate::service::{Constraint, PortSpec, ServiceSpec};

/// What is to be placed: `count` equal tasks of a service.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The state that placements must fit.
    pub cluster: &'a Cluster,
    /// The spec the tasks are made from.
    pub spec: &'a ServiceSpec,
    /// The service, for spreading.
    pub service: crate::id::ServiceId,
    /// How many.
    pub count: u32,
}

/// Where one task goes, with the ports it gets there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// The ports.
    pub ports: Vec<AssignedPort>,
}

/// The answer: up to `count` placements, and why there are not more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Solution {
    /// In the order to be used.
    pub placements: Vec<Placement>,
    /// Set where fewer than asked for fit: `4 nodes: 2 draining, 1 lacks memory (needs 512Mi, has 300Mi), 1 label zone≠a`.
    pub unplaced: Option<String>,
}

/// Places tasks. Deterministic: equal problems have equal solutions.
pub trait Scheduler: Send + Sync + std::fmt::Debug + 'static {
    /// Solves one problem. Each placement fits beside those before it.
    fn solve(&self, problem: &Problem<'_>) -> Solution;
}

#[allow(unused_imports)]
use {Constraint as _, PortSpec as _};
