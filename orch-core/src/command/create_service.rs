//! Create a service.

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;
use crate::name::Namespace;
use crate::service::{Service, ServiceSpec};

/// Creates a service, with its first version and the deployment of it.
#[derive(Clone, Debug)]
pub struct CreateService {
    /// Where.
    pub namespace: Namespace,
    /// What.
    pub spec: ServiceSpec,
}

impl Command for CreateService {
    const ACTION: Action = Action::CreateService;
    type Output = Arc<Service>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
