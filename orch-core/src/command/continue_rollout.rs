//! Let a paused rollout go on.

use std::sync::Arc;

use super::versions::write_deployment;
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::{Remark, Severity};

/// Lets a paused rollout go on, with as much time as was left of its deadline, or all of it anew if none was. What failed before
/// the pause is forgiven; the same failure once more is not. Idempotent: one that is under way goes on as it does.
#[derive(Clone, Debug)]
pub struct ContinueRollout {
    /// Of which service.
    pub service: ServiceId,
    /// Why, in the words of whoever asks.
    pub because: Option<Remark>,
}

impl Command for ContinueRollout {
    const ACTION: Action = Action::ContinueRollout;
    type Output = Arc<Deployment>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let (service, active) = ctx.rollout_under_way(cluster, self.service)?;
        if active.status != DeploymentStatus::Paused {
            return Ok(Decision::unchanged(Arc::clone(active)).about(active.id));
        }
        let because = self.because.as_ref();
        let continued = active.continued(ctx.now);
        debug_assert!(active.status.may_become(continued.status));
        let mut transaction = Transaction::default();
        let said = ctx.steered("continued", because);
        let told = Deployment { reason: Some(said), ..continued.clone() };
        let mut event = ctx.deployment_event(Severity::Info, service, &told);
        ctx.sign(&mut event, because);
        transaction.events.push(event);
        transaction.audit.push(ctx.steering_audit("service.rollout.continue", service, &continued, because));
        let id = continued.id;
        let continued = write_deployment(&mut transaction, continued);
        Ok(Decision::commit(transaction, continued).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.deployment(object.parse().ok()?).cloned()
    }
}
