//! Change how many replicas a service has.

use std::sync::Arc;

use super::apply_service::scale_message;
use super::lookup::check_revision;
use super::versions::write;
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Revision, Transaction};
use crate::id::ServiceId;
use crate::identity::Action;
use crate::record::EventKind;
use crate::service::admission::admit_replicas;
use crate::service::validation::check_replicas;
use crate::service::{Service, ServiceSpec};

/// Changes the replica count. Allowed while a rollout is under way, which then goes on with the new count.
#[derive(Clone, Debug)]
pub struct ScaleService {
    /// Which service.
    pub service: ServiceId,
    /// How many replicas.
    pub replicas: u32,
    /// The revision that the caller saw (`If-Match`).
    pub expected: Option<Revision>,
}

impl Command for ScaleService {
    const ACTION: Action = Action::ScaleService;
    type Output = Arc<Service>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let before = ctx.active_service(cluster, self.service)?;
        check_revision(before, self.expected)?;
        check_replicas(self.replicas, FieldPath::new("replicas"))?;
        if before.spec.replicas == self.replicas {
            return Ok(Decision::unchanged(Arc::clone(before)).about(before.id));
        }
        if self.replicas > before.spec.replicas {
            admit_replicas(self.replicas, ctx.policy, &before.namespace)?;
        }
        let mut transaction = Transaction::default();
        let message = scale_message(before, self.replicas);
        transaction.events.push(ctx.service_event(EventKind::ServiceScaled, before, message));
        let mut audit = ctx.service_audit("service.scale", before);
        audit.metadata.insert("replicas".to_owned(), self.replicas.to_string());
        transaction.audit.push(audit);
        let spec = ServiceSpec { replicas: self.replicas, ..before.spec.clone() };
        let service = Service { spec, revision: ctx.revision, updated_at: ctx.now, ..Service::clone(before) };
        let service = write(&mut transaction, service);
        Ok(Decision::commit(transaction, service).about(self.service))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        super::create_service::living(cluster, object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateService, DeleteService};
    use crate::identity::{Principal, Scope};
    use crate::name::Namespace;
    use crate::service::Version;
    use crate::testing::{World, web_spec};

    #[test]
    fn the_policy_bounds_a_scaling_up_and_lets_one_down() {
        let (mut world, service) = world();
        world.policy.max_replicas_per_service = 2;
        let to = |replicas| ScaleService { service, replicas, expected: None };
        assert!(matches!(world.execute(to(4)), Err(Rejection::Admission { operation: "scale", .. })));
        assert_eq!(world.cluster.service(service).unwrap().spec.replicas, 3);
        world.policy.max_replicas_per_service = 1;
        assert_eq!(world.execute(to(2)).unwrap().spec.replicas, 2, "less is never refused");
    }

    fn world() -> (World, ServiceId) {
        let mut world = World::new();
        let command = CreateService { namespace: Namespace::default_namespace(), spec: web_spec("web", 3) };
        let id = world.execute(command).unwrap().id;
        (world, id)
    }

    fn to(service: ServiceId, replicas: u32) -> ScaleService {
        ScaleService { service, replicas, expected: None }
    }

    #[test]
    fn the_count_changes_and_the_version_does_not() {
        let (mut world, id) = world();
        let service = world.execute(to(id, 0)).unwrap();
        assert_eq!((service.spec.replicas, service.version), (0, Version(1)));
        assert_eq!(service.revision, world.cluster.revision());
        assert_eq!(world.count(EventKind::ServiceScaled), 1);
        let revision = world.cluster.revision();
        world.execute(to(id, 0)).unwrap();
        assert_eq!(world.cluster.revision(), revision, "the same count is no change");
    }

    #[test]
    fn a_count_out_of_bounds_an_outdated_revision_and_a_deletion_are_refused() {
        let (mut world, id) = world();
        assert!(matches!(world.execute(to(id, 100_001)), Err(Rejection::Invalid { .. })));
        let late = ScaleService { expected: Some(Revision(0)), ..to(id, 5) };
        assert!(matches!(world.execute(late), Err(Rejection::RevisionMoved { .. })));
        world.execute(DeleteService { service: id }).unwrap();
        assert_eq!(
            world.execute(to(id, 5)).unwrap_err().to_string(),
            "operation already in progress: delete"
        );
    }

    #[test]
    fn a_service_of_another_namespace_is_not_there() {
        let (mut world, id) = world();
        let scope = Scope::Namespace("team".parse().unwrap());
        let outside = world.execute_as(&Principal::System("test"), &scope, to(id, 5));
        assert_eq!(outside.unwrap_err(), Rejection::not_found("service", id));
    }
}
