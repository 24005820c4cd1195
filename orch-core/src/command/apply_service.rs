//! Create or change a service by its whole spec.

use std::sync::Arc;

use super::create_service::create;
use super::lookup::{check_active, check_revision};
use super::versions::{begin_version, makes_version, write};
use super::{Command, Ctx, Decision, FieldPath, Rejection};
use crate::cluster::{Cluster, Revision, Transaction};
use crate::deployment::Deployment;
use crate::id::ServiceId;
use crate::identity::Action;
use crate::name::Namespace;
use crate::record::EventKind;
use crate::service::admission::admit;
use crate::service::difference::differences;
use crate::service::validation::check_spec;
use crate::service::{Service, ServiceSpec};

/// Creates or changes a service: a changed template is a rolling update, a changed replica count a scaling, and no difference
/// is no change.
#[derive(Clone, Debug)]
pub struct ApplyService {
    /// Where.
    pub namespace: Namespace,
    /// Which service.
    pub target: ApplyTarget,
    /// What it should be, whole.
    pub spec: ServiceSpec,
    /// The revision that the caller saw (`If-Match`): at another one the service must exist and nothing is changed.
    pub expected: Option<Revision>,
    /// Only answer what would be done.
    pub dry_run: bool,
}

/// What an apply is aimed at.
#[derive(Clone, Debug)]
pub enum ApplyTarget {
    /// The service with the spec's name; created if there is none.
    Name,
    /// This service, which must exist and have the spec's name.
    Id(ServiceId),
}

/// What an apply did, or would do.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The service as it is now, or would be.
    pub service: Arc<Service>,
    /// The deployment that was begun, if the template changed.
    pub deployment: Option<Arc<Deployment>>,
    /// Whether the service is new.
    pub created: bool,
    /// Which fields of the spec differ, one line each: `template.image: "web:1" → "web:2"`.
    pub changes: Vec<String>,
}

impl Command for ApplyService {
    const ACTION: Action = Action::UpdateService;
    type Output = Applied;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Applied>, Rejection> {
        ctx.check_namespace(cluster, &self.namespace)?;
        let before = self.target_in(cluster, ctx)?;
        if let Some(before) = before {
            check_active(before)?;
            check_revision(before, self.expected)?;
            check_kept(&before.spec, &self.spec)?;
        } else if self.expected.is_some() {
            return Err(Rejection::not_found("service", &self.spec.name));
        }
        check_spec(&self.spec)?;
        let operation = if before.is_some() { "update" } else { "create" };
        admit(&self.spec, ctx.policy, operation, &self.namespace)?;

        let mut transaction = Transaction::default();
        let applied = match before {
            None => {
                let (service, deployment) = create(ctx, &mut transaction, self.namespace, self.spec);
                Applied { service, deployment: Some(deployment), created: true, changes: Vec::new() }
            }
            Some(before) => change(cluster, ctx, &mut transaction, before, self.spec),
        };
        if self.dry_run {
            return Ok(Decision::unchanged(applied));
        }
        let id = applied.service.id;
        Ok(Decision::commit(transaction, applied).about(id))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Applied> {
        let service = super::create_service::living(cluster, object)?;
        let deployment = cluster.active_deployment(service.id).cloned();
        Some(Applied { service, deployment, created: false, changes: Vec::new() })
    }
}

impl ApplyService {
    /// The service as it is, if it is there.
    fn target_in<'c>(
        &self,
        cluster: &'c Cluster,
        ctx: &Ctx<'_>,
    ) -> Result<Option<&'c Arc<Service>>, Rejection> {
        let ApplyTarget::Id(id) = self.target else {
            return Ok(cluster.service_named(&self.namespace, &self.spec.name));
        };
        let service = ctx.service(cluster, id)?;
        if service.namespace != self.namespace {
            return Err(Rejection::not_found("service", id));
        }
        Ok(Some(service))
    }
}

/// What a service keeps for life: its name, and whether each of its slots has one owner. Were the latter to change under way,
/// two tasks could take a slot's data for their own.
fn check_kept(before: &ServiceSpec, after: &ServiceSpec) -> Result<(), Rejection> {
    let refuse = |field, problem: String, expected: String| {
        Err(Rejection::invalid(FieldPath::new("spec").field(field), problem, expected))
    };
    if before.name != after.name {
        let problem = format!("a service cannot be renamed to `{}`", after.name);
        return refuse("name", problem, format!("`{}`", before.name));
    }
    if before.stateful != after.stateful {
        let problem = "a service cannot become stateful or stop being so".to_owned();
        return refuse("stateful", problem, format!("{}; or a new service", before.stateful));
    }
    Ok(())
}

/// Writes what differs, if anything does.
fn change(
    cluster: &Cluster,
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    before: &Arc<Service>,
    spec: ServiceSpec,
) -> Applied {
    let changes = differences(&before.spec, &spec);
    if changes.is_empty() {
        return Applied { service: Arc::clone(before), deployment: None, created: false, changes };
    }
    let name = before.spec.name.clone();
    let scaled = ServiceSpec { replicas: spec.replicas, ..before.spec.clone() } == spec;
    let (kind, message) = if scaled {
        (EventKind::ServiceScaled, scale_message(before, spec.replicas))
    } else {
        let fields = changes.iter().filter_map(|line| line.split(": ").next()).collect::<Vec<_>>().join(", ");
        (EventKind::ServiceUpdated, format!("service {name} was changed: {fields}"))
    };
    transaction.events.push(ctx.service_event(kind, before, message));
    transaction.audit.push(ctx.service_audit("service.update", before));
    if makes_version(&before.spec, &spec) {
        let policy = spec.rollout.clone();
        let (service, deployment) = begin_version(cluster, ctx, transaction, before, spec, policy);
        let message = format!("rollout of {name} to version {} began", service.version);
        transaction.events.push(ctx.service_event(EventKind::ServiceRolloutStarted, &service, message));
        Applied { service, deployment: Some(deployment), created: false, changes }
    } else {
        let service = Service { spec, revision: ctx.revision, updated_at: ctx.now, ..Service::clone(before) };
        Applied { service: write(transaction, service), deployment: None, created: false, changes }
    }
}

/// How a scaling is told.
pub(super) fn scale_message(before: &Service, replicas: u32) -> String {
    format!("service {} was scaled from {} to {replicas} replicas", before.spec.name, before.spec.replicas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{DeleteService, RollOut};
    use crate::deployment::DeploymentStatus;
    use crate::service::Version;
    use crate::testing::{World, web_spec};

    fn apply(spec: ServiceSpec) -> ApplyService {
        ApplyService {
            namespace: Namespace::default_namespace(),
            target: ApplyTarget::Name,
            spec,
            expected: None,
            dry_run: false,
        }
    }

    fn with_image(image: &str) -> ServiceSpec {
        let mut spec = web_spec("web", 3);
        spec.template.image = image.parse().unwrap();
        spec
    }

    #[test]
    fn applying_creates_then_does_nothing_then_updates() {
        let mut world = World::new();
        let first = world.execute(apply(with_image("web:1"))).unwrap();
        assert!(first.created && first.deployment.is_some());
        let revision = world.cluster.revision();

        let same = world.execute(apply(with_image("web:1"))).unwrap();
        assert!(!same.created && same.deployment.is_none() && same.changes.is_empty());
        assert_eq!(world.cluster.revision(), revision, "nothing was written");

        let second = world.execute(apply(with_image("web:2"))).unwrap();
        assert_eq!(second.changes, [r#"template.image: "web:1" → "web:2""#]);
        assert_eq!((second.service.version, second.service.newest_version), (Version(2), Version(2)));
        assert_eq!(second.service.id, first.service.id);
        let deployment = second.deployment.unwrap();
        assert_eq!((deployment.from_version, deployment.to_version), (Some(Version(1)), Version(2)));
        assert!(world.cluster.service_revision(first.service.id, Version(2)).is_some());
    }

    #[test]
    fn an_update_supersedes_the_deployment_under_way_and_keeps_the_version_that_stood() {
        let mut world = World::new();
        let id = world.execute(apply(with_image("web:1"))).unwrap().service.id;
        let first = world.cluster.active_deployment(id).unwrap().id;
        world.advance(std::time::Duration::from_secs(1));
        let second = world.execute(apply(with_image("web:2"))).unwrap().deployment.unwrap();
        let ended = world.cluster.deployment(first).unwrap();
        assert_eq!((ended.status, ended.completed_at), (DeploymentStatus::Superseded, Some(world.now)));
        assert!(ended.reason.is_some());
        let third = world.execute(apply(with_image("web:3"))).unwrap().deployment.unwrap();
        assert_eq!(world.cluster.deployment(second.id).unwrap().status, DeploymentStatus::Superseded);
        assert_eq!((third.from_version, third.to_version), (Some(Version(1)), Version(3)));
        assert_eq!(world.cluster.active_deployment(id).unwrap().id, third.id);
    }

    #[test]
    fn replicas_routes_and_labels_change_without_a_new_version() {
        let mut world = World::new();
        world.execute(apply(web_spec("web", 3))).unwrap();
        let scaled = world.execute(apply(web_spec("web", 5))).unwrap();
        assert_eq!((scaled.service.version, scaled.deployment), (Version(1), None));
        assert_eq!(world.count(EventKind::ServiceScaled), 1);
        let mut labelled = web_spec("web", 5);
        labelled.labels.insert("team".to_owned(), "a".to_owned());
        let updated = world.execute(apply(labelled)).unwrap();
        assert_eq!((updated.service.version, updated.changes.len()), (Version(1), 1));
        assert_eq!(world.count(EventKind::ServiceUpdated), 1);
    }

    #[test]
    fn a_dry_run_answers_the_same_and_writes_nothing() {
        let mut world = World::new();
        let dry = |image| ApplyService { dry_run: true, ..apply(with_image(image)) };
        assert!(world.execute(dry("web:1")).unwrap().created);
        assert_eq!(world.cluster.services().count(), 0);
        world.execute(apply(with_image("web:1"))).unwrap();
        let would = world.execute(dry("web:2")).unwrap();
        assert_eq!((would.service.version, would.changes.len()), (Version(2), 1));
        assert_eq!(world.cluster.revision().0, 1);
    }

    #[test]
    fn an_outdated_revision_another_name_and_a_deletion_are_refused() {
        let mut world = World::new();
        let service = world.execute(apply(with_image("web:1"))).unwrap().service;
        world.execute(apply(web_spec("web", 5))).unwrap();
        let late = ApplyService { expected: Some(service.revision), ..apply(with_image("web:2")) };
        assert!(matches!(world.execute(late), Err(Rejection::RevisionMoved { actual: Revision(2), .. })));
        let renamed = ApplyService { target: ApplyTarget::Id(service.id), ..apply(web_spec("other", 1)) };
        assert!(matches!(world.execute(renamed), Err(Rejection::Invalid { .. })));
        let stateful = ServiceSpec { stateful: true, ..with_image("web:1") };
        assert!(matches!(world.execute(apply(stateful)), Err(Rejection::Invalid { .. })));
        let unknown = ApplyService { expected: Some(Revision(1)), ..apply(web_spec("new", 1)) };
        assert!(matches!(world.execute(unknown), Err(Rejection::NotFound { .. })));

        world.execute(DeleteService { service: service.id }).unwrap();
        let gone = ApplyService { target: ApplyTarget::Id(service.id), ..apply(with_image("web:2")) };
        assert_eq!(world.execute(gone).unwrap_err().to_string(), "operation already in progress: delete");
    }

    #[test]
    fn a_rollout_under_way_does_not_keep_a_spec_from_being_applied() {
        let mut world = World::new();
        let id = world.execute(apply(with_image("web:1"))).unwrap().service.id;
        let image = "web:2".parse().unwrap();
        world.execute(RollOut { service: id, image, max_unavailable: None, max_surge: None }).unwrap();
        assert_eq!(world.execute(apply(with_image("web:3"))).unwrap().service.version, Version(3));
    }
}
