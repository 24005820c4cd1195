//! Reconciliation: what should be, compared with what is. Pure; the writer runs it for each service that something touched.

pub mod plan;

pub use plan::{Held, HeldReason, Plan};

use crate::cluster::Cluster;
use crate::command::Ctx;
use crate::id::ServiceId;
use crate::schedule::Scheduler;

/// What one look at a service asks for. A service that is not there asks for nothing.
#[must_use]
pub fn reconcile(
    cluster: &Cluster,
    service: ServiceId,
    scheduler: &dyn Scheduler,
    ctx: &mut Ctx<'_>,
) -> Plan {
    let _ = (cluster, service, scheduler, ctx);
    todo!()
}
