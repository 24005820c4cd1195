//! Make and delete namespaces.

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Change, Cluster, Key, NamespaceRecord, Transaction};
use crate::identity::Action;
use crate::name::Namespace;
use crate::record::{EventKind, RelatedObject, Severity};
use crate::service::ServiceStatus;

/// Makes a namespace.
#[derive(Clone, Debug)]
pub struct CreateNamespace {
    /// Its name.
    pub name: Namespace,
}

impl Command for CreateNamespace {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = Arc<NamespaceRecord>;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let Self { name } = self;
        if cluster.has_namespace(&name) {
            return Err(Rejection::Conflict(format!("the namespace `{name}` exists")));
        }
        let record = Arc::new(NamespaceRecord { name: name.clone(), created_at: ctx.now });
        let mut transaction = Transaction::default();
        transaction.changes.push(Change::Namespace(Arc::clone(&record)));
        write_history(ctx, &mut transaction, EventKind::NamespaceCreated, "namespace.create", &name);
        Ok(Decision::commit(transaction, record).about(name))
    }

    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        cluster.namespaces().find(|record| record.name.as_str() == object).cloned()
    }
}

/// Deletes a namespace in which no service lives. Deleted services, events and audit records do not keep it.
#[derive(Clone, Debug)]
pub struct DeleteNamespace {
    /// Its name.
    pub name: Namespace,
}

impl Command for DeleteNamespace {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = ();

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<()>, Rejection> {
        let Self { name } = self;
        if name == Namespace::default_namespace() {
            return Err(Rejection::WrongState(format!("the namespace `{name}` cannot be deleted")));
        }
        if !cluster.has_namespace(&name) {
            return Err(Rejection::not_found("namespace", name));
        }
        let living = cluster
            .services()
            .filter(|service| service.namespace == name && service.status != ServiceStatus::Deleted)
            .count();
        if living > 0 {
            let services = if living == 1 { "1 service".to_owned() } else { format!("{living} services") };
            return Err(Rejection::Conflict(format!("the namespace `{name}` is not empty: {services}")));
        }
        let mut transaction = Transaction::default();
        transaction.remove(Key::Namespace(name.clone()));
        write_history(ctx, &mut transaction, EventKind::NamespaceDeleted, "namespace.delete", &name);
        Ok(Decision::commit(transaction, ()).about(name))
    }

    fn replay(&self, _: &Cluster, _: &str) -> Option<()> {
        Some(())
    }
}

fn write_history(
    ctx: &mut Ctx<'_>,
    transaction: &mut Transaction,
    kind: EventKind,
    action: &str,
    name: &Namespace,
) {
    let done = if kind == EventKind::NamespaceCreated { "created" } else { "deleted" };
    let message = format!("namespace {name} was {done}");
    let mut event = ctx.event(kind, Severity::Info, RelatedObject::Namespace(name.clone()), message);
    event.namespace = Some(name.clone());
    transaction.events.push(event);
    transaction.audit.push(ctx.audit(action, "namespace", name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateService, DeleteService};
    use crate::testing::{World, web_spec};

    fn name() -> Namespace {
        "team".parse().unwrap()
    }

    #[test]
    fn a_namespace_is_made_once() {
        let mut world = World::new();
        let record = world.execute(CreateNamespace { name: name() }).unwrap();
        assert_eq!((record.name.clone(), record.created_at), (name(), world.now));
        assert!(world.cluster.has_namespace(&name()));
        for taken in [name(), Namespace::default_namespace()] {
            assert!(matches!(world.execute(CreateNamespace { name: taken }), Err(Rejection::Conflict(_))));
        }
        assert_eq!(world.count(EventKind::NamespaceCreated), 1);
        assert_eq!(world.audit[0].action, "namespace.create");
        assert_eq!(CreateNamespace { name: name() }.replay(&world.cluster, "team"), Some(record));
    }

    #[test]
    fn only_a_namespace_without_living_services_is_deleted() {
        let mut world = World::new();
        world.execute(CreateNamespace { name: name() }).unwrap();
        let spec = web_spec("web", 0);
        let service = world.execute(CreateService { namespace: name(), spec }).unwrap().id;
        let refused = world.execute(DeleteNamespace { name: name() }).unwrap_err();
        assert_eq!(refused.to_string(), "the namespace `team` is not empty: 1 service");
        world.execute(DeleteService { service }).unwrap();
        world.execute(DeleteNamespace { name: name() }).unwrap();
        assert!(!world.cluster.has_namespace(&name()));
        assert_eq!(
            world.execute(DeleteNamespace { name: name() }).unwrap_err(),
            Rejection::not_found("namespace", name())
        );
    }

    #[test]
    fn the_default_namespace_stays() {
        let deleted = World::new().execute(DeleteNamespace { name: Namespace::default_namespace() });
        assert_eq!(deleted.unwrap_err().code(), "invalid_argument");
    }
}
