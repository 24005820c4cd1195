//! [`ServiceSpec`]: parsed, never half valid.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Constraint, Strategy, TaskTemplate};
use crate::deployment::RolloutPolicy;
use crate::name::ServiceName;

/// What a user wants of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique among the living services of a namespace.
    pub name: ServiceName,
    /// How many tasks.
    pub replicas: u32,
    /// A stateful service's slot has one owner: replaced stop-first, and left for an operator when its node is lost.
    pub stateful: bool,
    /// What each task runs.
    pub template: TaskTemplate,
    /// Where tasks may run: all must hold.
    pub constraints: Vec<Constraint>,
    /// How tasks are laid out over those nodes.
    #[serde(default, skip_serializing_if = "Strategy::is_default")]
    pub strategy: Strategy,
    /// How one version replaces another.
    pub rollout: RolloutPolicy,
    /// How outside traffic names the service.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The user's own labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What the template has of its resources that nobody stated.
    #[serde(default, skip_serializing_if = "Defaulted::is_nothing")]
    pub defaulted: Defaulted,
}

/// Which resources were filled in where the user said nothing: a policy may want them stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Defaulted {
    /// A request, of CPU or memory.
    pub requests: bool,
    /// A limit, of CPU or memory.
    pub limits: bool,
}

impl Defaulted {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl ServiceSpec {
    /// What the spec is once the service has gone back to `earlier`: what makes a version goes back with it; replica count,
    /// strategy, routes and labels belong to the service, through all its versions, and stay.
    #[must_use]
    pub fn gone_back_to(&self, earlier: &Self) -> Self {
        Self {
            replicas: self.replicas,
            strategy: self.strategy,
            routes: self.routes.clone(),
            labels: self.labels.clone(),
            ..earlier.clone()
        }
    }
}

/// One way in from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The host name that requests carry.
    pub host: String,
    /// Begins with `/`.
    pub path_prefix: String,
    /// A container port of the service.
    pub port: u16,
    /// Whether TLS is asked for.
    #[serde(default)]
    pub tls: bool,
}
