//! Reconciliation: what should be, compared with what is. Pure; the writer runs it for each service that something touched.
//!
//! One look is a `Pass`: it reads a draft of the cluster, and each thing that it does becomes true in the draft
//! at once, so that every later decision is made on the state that is being committed. The steps, in order:
//! [`lost`] (what the fate of nodes did to tasks) → [`rollout`] (has the deployment failed?) → [`restart`] (which slots are
//! finished, which tasks do not serve) → [`scale`] (slots that are not wanted any more) → [`drain`] (drains that may not wait
//! any longer) → [`replace`] (what was replaced goes)
//! → [`fill`] (slots without a task) → [`replace`] (the next replacements, for rollouts and drains alike) → [`rollout`]
//! (is it done?) → [`remove`] (history that nobody needs).

mod drain;
mod fill;
mod lost;
mod pass;
pub mod plan;
mod prepare;
mod remove;
mod replace;
mod restart;
mod rollback;
mod rollout;
mod scale;
mod slots;

pub use pass::Handover;
pub use plan::{Held, HeldReason, Plan, Step};

use crate::cluster::Cluster;
use crate::command::Ctx;
use crate::id::ServiceId;
use crate::schedule::Scheduler;
use crate::service::ServiceStatus;
use pass::Pass;

/// What one look at a service asks for. A service that is not there asks for nothing.
///
/// Repeatable: once the plan is applied, another look at the same time finds nothing more to do, unless the plan was cut at
/// its bound; then `look_again` is now.
#[must_use]
pub fn reconcile(
    cluster: &Cluster,
    service: ServiceId,
    scheduler: &dyn Scheduler,
    ctx: &mut Ctx<'_>,
) -> Plan {
    let Some(service) = cluster.service(service) else { return Plan::default() };
    let status = service.status;
    let mut pass = Pass::new(cluster, service, scheduler, ctx);
    match status {
        ServiceStatus::Active => {
            lost::forget_tasks_of_gone_nodes(&mut pass);
            rollout::judge(&mut pass);
            lost::give_up_lost_tasks(&mut pass);
            restart::mark_finished(&mut pass);
            restart::give_up_unhealthy(&mut pass);
            scale::shrink(&mut pass);
            drain::evict_overdue(&mut pass);
            replace::retire(&mut pass);
            fill::fill(&mut pass);
            replace::proceed(&mut pass);
            rollout::settle(&mut pass);
            drain::note_waits(&mut pass);
            remove::prune(&mut pass);
        }
        ServiceStatus::Deleting => {
            remove::take_down(&mut pass);
            drain::note_waits(&mut pass);
        }
        ServiceStatus::Deleted => remove::forget_all(&mut pass),
    }
    pass.finish()
}
