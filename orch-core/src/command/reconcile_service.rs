//! Look at a service and do what should be done: the control plane's own command.

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::id::ServiceId;
use crate::identity::Action;
use crate::reconcile::Plan;
use std::sync::Arc;

/// Reconciles one service.
#[derive(Clone, Debug)]
pub struct ReconcileService {
    /// Which.
    pub service: ServiceId,
    /// Who places tasks.
    pub scheduler: Arc<dyn crate::schedule::Scheduler>,
}

impl Command for ReconcileService {
    const ACTION: Action = Action::Control;
    type Output = Plan;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Plan>, Rejection> {
        let mut plan = crate::reconcile::reconcile(cluster, self.service, self.scheduler.as_ref(), ctx);
        let transaction = std::mem::take(&mut plan.transaction);
        Ok(Decision::commit(transaction, plan))
    }
}
