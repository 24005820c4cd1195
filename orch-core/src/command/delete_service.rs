//! delete_service

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Takes a service down. Idempotent.
#[derive(Clone, Debug)]
pub struct DeleteService {
    /// ..
    pub service: crate::id::ServiceId,
}

impl Command for DeleteService {
    const ACTION: Action = Action::DeleteService;
    type Output = ();
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
