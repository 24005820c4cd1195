//! Steps that several commands share: a service gets a new version, a deployment begins, another ends before its goal.

use std::sync::Arc;

use super::Ctx;
use crate::cluster::{Change, Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus, RolloutPolicy};
use crate::record::Severity;
use crate::service::{Service, ServiceRevision, ServiceSpec, Version};

/// Whether the step from one spec to the other makes a new version: what its tasks are made from, where they may run or how
/// they are replaced differs. Replica count, strategy, routes and labels belong to the service, through all its versions.
pub(super) fn makes_version(before: &ServiceSpec, after: &ServiceSpec) -> bool {
    before.template != after.template
        || before.constraints != after.constraints
        || before.rollout != after.rollout
}

/// Writes the next version of a service and the deployment towards it. The one under way, if any, is superseded.
pub(super) fn begin_version(
    cluster: &Cluster,
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    before: &Service,
    spec: ServiceSpec,
    policy: RolloutPolicy,
) -> (Arc<Service>, Arc<Deployment>) {
    let version = Version(before.newest_version.0 + 1);
    let from = standing_version(cluster, before);
    end_deployment(
        cluster,
        ctx,
        transaction,
        before,
        DeploymentStatus::Superseded,
        "a newer spec took its place",
    );
    let service = Service {
        spec,
        version,
        newest_version: version,
        revision: ctx.revision,
        updated_at: ctx.now,
        ..before.clone()
    };
    let mut revision = first_row(ctx, &service);
    // Tasks of the same template are kept (M25), and those that join them run the same bytes.
    let known = cluster.service_revision(before.id, before.version);
    revision.pin = known.filter(|known| known.digest == revision.digest).and_then(|known| known.pin.clone());
    transaction.put(revision);
    let deployment = deployment(ctx, &service, Some(from), DeploymentStatus::Pending, policy);
    (write(transaction, service), write_deployment(transaction, deployment))
}

/// The version that a failed deployment goes back to: while one is under way that is not at its goal yet, the one before it.
fn standing_version(cluster: &Cluster, service: &Service) -> Version {
    cluster
        .active_deployment(service.id)
        .filter(|active| !active.is_rollback())
        .and_then(|active| active.from_version)
        .unwrap_or(service.version)
}

/// The revision row of the version that a service is at.
pub(super) fn first_row(ctx: &Ctx<'_>, service: &Service) -> ServiceRevision {
    ServiceRevision {
        service: service.id,
        version: service.version,
        spec: service.spec.clone(),
        digest: service.spec.template.digest(),
        created_at: service.updated_at,
        by: Some(ctx.who()),
        pin: None,
    }
}

/// A deployment to the version that a service is at, beginning now.
pub(super) fn deployment(
    ctx: &mut Ctx<'_>,
    service: &Service,
    from: Option<Version>,
    status: DeploymentStatus,
    policy: RolloutPolicy,
) -> Deployment {
    Deployment {
        id: ctx.ids.next(),
        namespace: service.namespace.clone(),
        service: service.id,
        from_version: from,
        to_version: service.version,
        restart: false,
        status,
        deadline: ctx.now + policy.deadline,
        policy,
        reason: None,
        paused_at: None,
        continued_at: None,
        created_at: ctx.now,
        updated_at: ctx.now,
        started_at: None,
        completed_at: None,
    }
}

/// Ends the deployment that is under way, if there is one, short of its goal; answers the row as written.
pub(super) fn end_deployment(
    cluster: &Cluster,
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    service: &Service,
    status: DeploymentStatus,
    reason: &str,
) -> Option<Arc<Deployment>> {
    let active = cluster.active_deployment(service.id)?;
    debug_assert!(active.status.may_become(status));
    let ended = Deployment {
        status,
        reason: Some(reason.to_owned()),
        paused_at: None,
        updated_at: ctx.now,
        completed_at: Some(ctx.now),
        ..Deployment::clone(active)
    };
    let severity = match status {
        DeploymentStatus::Cancelled => Severity::Warning,
        _ => Severity::Info,
    };
    transaction.events.push(ctx.deployment_event(severity, service, &ended));
    Some(write_deployment(transaction, ended))
}

/// Writes a service, and answers the row as written.
pub(super) fn write(transaction: &mut Transaction, service: Service) -> Arc<Service> {
    let row = Arc::new(service);
    transaction.changes.push(Change::Service(Arc::clone(&row)));
    row
}

/// Writes a deployment, and answers the row as written.
pub(super) fn write_deployment(transaction: &mut Transaction, deployment: Deployment) -> Arc<Deployment> {
    let row = Arc::new(deployment);
    transaction.changes.push(Change::Deployment(Arc::clone(&row)));
    row
}

/// Writes a node, and answers the row as written.
pub(super) fn write_node(transaction: &mut Transaction, node: crate::node::Node) -> Arc<crate::node::Node> {
    let row = Arc::new(node);
    transaction.changes.push(Change::Node(Arc::clone(&row)));
    row
}

#[cfg(test)]
pub(super) mod tests {
    use crate::command::CreateService;
    use crate::deployment::{Deployment, DeploymentStatus};
    use crate::id::ServiceId;
    use crate::name::Namespace;
    use crate::testing::{World, web_spec};

    /// A world with the service `web`, whose first deployment is under way.
    pub(in crate::command) fn service() -> (World, ServiceId) {
        let mut world = World::new();
        let command = CreateService { namespace: Namespace::default_namespace(), spec: web_spec("web", 3) };
        let id = world.execute(command).expect("a good spec").id;
        (world, id)
    }

    /// Moves the deployment under way to a status, as reconciling does.
    pub(in crate::command) fn end_active(world: &mut World, service: ServiceId, status: DeploymentStatus) {
        let active = world.cluster.active_deployment(service).expect("one is under way");
        let ended = Deployment {
            status,
            completed_at: status.is_terminal().then_some(world.now),
            ..Deployment::clone(active)
        };
        let mut transaction = crate::cluster::Transaction::default();
        transaction.put(ended);
        world.apply(transaction);
    }
}
