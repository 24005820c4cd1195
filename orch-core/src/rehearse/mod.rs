//! What a change would do: tried on a copy of the cluster by the code that would do it. Pure.
//!
//! The command is decided, and then looks of the reconciler, nodes that do what they are told, and time take turns. What is
//! supposed: every task that is started comes up at once and serves, and nobody else changes anything. So the placements and
//! the order are those of the real thing as of now, and the time is the least that it can take.

mod crew;
mod outcome;

pub use outcome::{Ending, Moment, Rehearsal, Unplaced};

use std::time::Duration;

use crate::cluster::Cluster;
use crate::command::{ApplyService, Command as _, Ctx, Rejection};
use crate::deployment::DeploymentStatus;
use crate::id::ServiceId;
use crate::identity::{Principal, RequestContext, Scope};
use crate::reconcile::{Handover, HeldReason, Plan, Step, reconcile};
use crate::schedule::Scheduler;
use crate::schedule::explain::unfit_nodes;
use crate::service::ServiceSpec;
use crate::task::Slot;
use crate::time::Timestamp;

/// How many looks are taken at most.
const LOOKS_MAX: usize = 400;
/// How many steps are told at most.
const STEPS_MAX: usize = 1_000;
/// How many tasks are looked at in all, at most: that bounds the time for large services.
const WORK_MAX: usize = 200_000;

/// Tries an apply. Nothing is written; `command.dry_run` does not matter.
///
/// # Errors
/// As the command would be rejected.
pub fn rehearse(
    cluster: &Cluster,
    command: ApplyService,
    scheduler: &dyn Scheduler,
    ctx: &mut Ctx<'_>,
) -> Result<Rehearsal, Rejection> {
    let decision = ApplyService { dry_run: false, ..command }.decide(cluster, ctx)?;
    let applied = decision.output;
    let before = cluster.service(applied.service.id).cloned();
    let mut stage = cluster.clone();
    let changed = !decision.transaction.is_empty();
    if changed {
        stage.apply(&decision.transaction);
    }
    let spec = applied.service.spec.clone();
    let policy = applied.deployment.as_ref().map_or_else(|| spec.rollout.clone(), |d| d.policy.clone());
    let mut rehearsal = Rehearsal {
        changed,
        before,
        handover: Handover::of(&spec),
        policy,
        applied,
        steps: Vec::new(),
        unplaced: Vec::new(),
        held: Vec::new(),
        at_least: Duration::ZERO,
        ending: Ending::Done,
    };
    if changed {
        perform(&mut stage, &mut rehearsal, scheduler, ctx);
        rehearsal.unplaced = unplaced(&stage, &spec, &rehearsal.held);
    }
    Ok(rehearsal)
}

/// Lets the reconciler, the nodes and time take turns until nothing moves any more.
fn perform(stage: &mut Cluster, rehearsal: &mut Rehearsal, scheduler: &dyn Scheduler, ctx: &mut Ctx<'_>) {
    let (service, begun) = (rehearsal.applied.service.id, ctx.now);
    let (mut now, mut round, mut work) = (begun, 0, 0);
    for _ in 0..LOOKS_MAX {
        let plan = look(stage, service, scheduler, now, ctx);
        if !plan.transaction.is_empty() {
            stage.apply(&plan.transaction);
        }
        let told = rehearsal.steps.len();
        let after = now.since(begun);
        round += u32::from(plan.steps.iter().any(is_told));
        rehearsal.steps.extend(plan.steps.into_iter().filter(is_told).map(|step| Moment {
            round,
            after,
            step,
        }));
        if rehearsal.steps.len() > told {
            rehearsal.at_least = after;
        }
        rehearsal.held = plan.held;
        if let Some(ending) = ending(stage, rehearsal) {
            rehearsal.ending = ending;
            return;
        }
        let moved = crew::obey(stage, service, now);
        work += stage.tasks_of_service(service).count();
        if rehearsal.steps.len() >= STEPS_MAX || work > WORK_MAX {
            rehearsal.ending = Ending::Cut;
            return;
        }
        if moved || !plan.transaction.is_empty() {
            continue;
        }
        match crew::next_moment(stage, service, now, &rehearsal.policy, &rehearsal.held) {
            Some(at) => now = at,
            None => {
                rehearsal.ending = rest(rehearsal);
                return;
            }
        }
    }
    rehearsal.ending = Ending::Cut;
}

fn look(
    stage: &Cluster,
    service: ServiceId,
    scheduler: &dyn Scheduler,
    now: Timestamp,
    ctx: &mut Ctx<'_>,
) -> Plan {
    let mut ctx = Ctx {
        now,
        hears_from: ctx.hears_from,
        ids: ctx.ids,
        revision: stage.revision().next(),
        principal: &Principal::System("reconciler"),
        scope: &Scope::Cluster,
        request: &RequestContext::default(),
        policy: ctx.policy,
    };
    reconcile(stage, service, scheduler, &mut ctx)
}

/// What is worth telling: not what is merely forgotten.
const fn is_told(step: &Step) -> bool {
    !matches!(step, Step::Forget { .. })
}

/// The rollout that began has come to its end.
fn ending(stage: &Cluster, rehearsal: &Rehearsal) -> Option<Ending> {
    let deployment = stage.deployment(rehearsal.applied.deployment.as_ref()?.id)?;
    let reason = || deployment.reason.clone().unwrap_or_default();
    match deployment.status {
        DeploymentStatus::Failed | DeploymentStatus::Paused => Some(Ending::Fails(reason())),
        _ => None,
    }
}

/// Nothing moves any more: because all is done, or because something is waited for.
fn rest(rehearsal: &Rehearsal) -> Ending {
    if rehearsal.held.is_empty() { Ending::Done } else { Ending::Waits }
}

/// The replicas that would have no place, each with what every node lacks.
fn unplaced(stage: &Cluster, spec: &ServiceSpec, held: &[crate::reconcile::Held]) -> Vec<Unplaced> {
    let nodes = || unfit_nodes(stage, spec);
    let unplaced = held.iter().filter_map(|held| match &held.reason {
        HeldReason::NoNodeFits(reason) => Some((held.slot.unwrap_or(Slot(0)), reason.clone())),
        _ => None,
    });
    let unplaced: Vec<_> = unplaced.collect();
    let Some(first) = unplaced.first().cloned() else { return Vec::new() };
    // Equal replicas lack the same; the nodes are told once.
    let tell = |(slot, reason): (Slot, String)| {
        let nodes = if slot == first.0 { nodes() } else { Vec::new() };
        Unplaced { slot, reason, nodes }
    };
    unplaced.into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests;
