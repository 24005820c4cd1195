//! Create a service.

use std::sync::Arc;

use super::versions::{deployment, first_row, write};
use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Transaction};
use crate::deployment::{Deployment, DeploymentStatus};
use crate::identity::Action;
use crate::name::Namespace;
use crate::record::EventKind;
use crate::service::admission::admit;
use crate::service::validation::check_spec;
use crate::service::{Service, ServiceSpec, ServiceStatus, Version};

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
        ctx.check_namespace(cluster, &self.namespace)?;
        check_spec(&self.spec)?;
        admit(&self.spec, ctx.policy, "create", &self.namespace)?;
        if cluster.service_named(&self.namespace, &self.spec.name).is_some() {
            let Self { namespace, spec } = self;
            return Err(Rejection::Conflict(format!(
                "a service named `{}` exists in the namespace `{namespace}`",
                spec.name
            )));
        }
        let mut transaction = Transaction::default();
        let (service, _) = create(ctx, &mut transaction, self.namespace, self.spec);
        let id = service.id;
        Ok(Decision::commit(transaction, service).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        living(cluster, object)
    }
}

/// The service of a receipt, as long as it lives.
pub(super) fn living(cluster: &Cluster, object: &str) -> Option<Arc<Service>> {
    let service = cluster.service(object.parse().ok()?)?;
    (service.status != ServiceStatus::Deleted).then(|| Arc::clone(service))
}

/// Writes a new service that was found to be in order.
pub(super) fn create(
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    namespace: Namespace,
    spec: ServiceSpec,
) -> (Arc<Service>, Arc<Deployment>) {
    let service = Service {
        id: ctx.ids.next(),
        namespace,
        spec,
        version: Version(1),
        newest_version: Version(1),
        status: ServiceStatus::Active,
        revision: ctx.revision,
        created_at: ctx.now,
        updated_at: ctx.now,
    };
    transaction.put(first_row(ctx, &service));
    let first = deployment(ctx, &service, None, DeploymentStatus::Pending, service.spec.rollout.clone());
    let message =
        format!("service {} was created with {} replicas", service.spec.name, service.spec.replicas);
    transaction.events.push(ctx.service_event(EventKind::ServiceCreated, &service, message));
    transaction.audit.push(ctx.service_audit("service.create", &service));
    (write(transaction, service), super::versions::write_deployment(transaction, first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Principal, Scope};
    use crate::testing::{World, web_spec};

    fn command(name: &str, namespace: &str) -> CreateService {
        CreateService { namespace: namespace.parse().unwrap(), spec: web_spec(name, 3) }
    }

    #[test]
    fn a_service_comes_with_its_first_version_and_the_deployment_of_it() {
        let mut world = World::new();
        let service = world.execute(command("web", "default")).unwrap();
        assert_eq!((service.version, service.newest_version), (Version(1), Version(1)));
        assert_eq!(service.revision, world.cluster.revision());
        let revision = world.cluster.service_revision(service.id, Version(1)).unwrap();
        assert_eq!((&revision.spec, revision.digest), (&service.spec, service.spec.template.digest()));
        let deployment = world.cluster.active_deployment(service.id).unwrap();
        assert_eq!((deployment.from_version, deployment.to_version), (None, Version(1)));
        assert_eq!(deployment.status, DeploymentStatus::Pending);
        assert_eq!(deployment.deadline, world.now + service.spec.rollout.deadline);
        assert_eq!(world.count(EventKind::ServiceCreated), 1);
        let audit = &world.audit[0];
        assert_eq!(
            (audit.action.as_str(), audit.target_id.clone()),
            ("service.create", service.id.to_string())
        );
        assert_eq!(audit.namespace.as_ref(), Some(&service.namespace));
    }

    #[test]
    fn a_name_is_taken_as_long_as_its_service_lives() {
        let mut world = World::new();
        let service = world.execute(command("web", "default")).unwrap();
        assert!(matches!(world.execute(command("web", "default")), Err(Rejection::Conflict(_))));
        world.execute(crate::command::DeleteService { service: service.id }).unwrap();
        let again = world.execute(command("web", "default")).unwrap();
        assert_ne!(again.id, service.id);
    }

    #[test]
    fn nothing_is_created_in_a_namespace_that_is_not_there_or_out_of_reach() {
        let mut world = World::new();
        assert_eq!(
            world.execute(command("web", "other")).unwrap_err(),
            Rejection::not_found("namespace", "other")
        );
        let scope = Scope::Namespace("team".parse().unwrap());
        let outside = world.execute_as(&Principal::System("test"), &scope, command("web", "default"));
        assert!(matches!(outside, Err(Rejection::Forbidden(_))));
        assert_eq!(world.cluster.revision().0, 0);
    }

    #[test]
    fn what_the_policy_refuses_is_not_created() {
        let mut world = World::new();
        let mut greedy = command("web", "default");
        greedy.spec.template.security.privileged = true;
        assert!(matches!(
            world.execute(greedy),
            Err(Rejection::Admission { operation: "create", violations, .. }) if violations.len() == 1
        ));
    }

    #[test]
    fn a_repetition_is_answered_with_the_service_until_it_is_gone() {
        let mut world = World::new();
        let service = world.execute(command("web", "default")).unwrap();
        let again = command("web", "default");
        assert_eq!(again.replay(&world.cluster, &service.id.to_string()), Some(Arc::clone(&service)));
        world.execute(crate::command::DeleteService { service: service.id }).unwrap();
        assert_eq!(again.replay(&world.cluster, &service.id.to_string()), None);
    }
}
