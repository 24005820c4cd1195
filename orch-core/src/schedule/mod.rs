//! Scheduling: where tasks go. Pure: problem in, placements and reasons out.
//!
//! [`filter`] says which nodes can take a task and why the others cannot, [`score`] which of them is best, [`ports`] which
//! host ports the task gets there, [`explain`] puts the reasons into one line, and [`spread`] is the scheduler made of these.

pub mod explain;
pub mod filter;
pub mod ports;
pub mod score;
pub mod spread;

pub use explain::Reasons;
pub use filter::{Demand, Misfit, fits};
pub use score::Score;
pub use spread::FilterAndScore;

use crate::cluster::Cluster;
use crate::id::{NodeId, ServiceId};
use crate::service::ServiceSpec;
use crate::service::port::AssignedPort;

/// What is to be placed: `count` equal tasks of a service.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The state that placements must fit.
    pub cluster: &'a Cluster,
    /// The spec the tasks are made from.
    pub spec: &'a ServiceSpec,
    /// The service, for spreading.
    pub service: ServiceId,
    /// How many.
    pub count: u32,
    /// Nodes to use only where nothing else fits: those where such a task just failed.
    pub avoid: &'a [NodeId],
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
