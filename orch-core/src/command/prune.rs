//! Remove what is past its time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::{Cluster, Key};
use crate::deployment::Deployment;
use crate::identity::Action;
use crate::record::receipt::{RECEIPT_LIFE, RECEIPTS_PER_SUBJECT};
use crate::service::{Service, ServiceStatus, Version};
use crate::time::Timestamp;

/// How long a deleted service can still be looked up: 7 days.
pub const DELETED_SERVICE_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many ended deployments of a service are kept; the oldest go first.
pub const DEPLOYMENTS_PER_SERVICE: usize = 20;
/// How many versions of a service are kept that nothing refers to any more; the oldest go first.
pub const SPARE_VERSIONS_PER_SERVICE: usize = 10;

/// Removes what is past its time: receipts, enrolment tokens that ended, deleted services with all that belongs to them, ended deployments, versions that
/// nothing refers to. Answers how many rows went; as many as `limit` means that there may be more.
///
/// Tasks that ended are the reconciler's to remove.
#[derive(Clone, Debug)]
pub struct PruneState {
    /// The most rows that one transaction removes.
    pub limit: usize,
}

impl Command for PruneState {
    const ACTION: Action = Action::Control;
    type Output = usize;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<usize>, Rejection> {
        let mut doomed = Vec::new();
        for collect in [receipts, enrollment_tokens, services] {
            if doomed.len() < self.limit {
                collect(cluster, ctx.now, &mut doomed);
            }
        }
        doomed.truncate(self.limit);
        let count = doomed.len();
        let mut transaction = crate::cluster::Transaction::default();
        doomed.into_iter().for_each(|key| transaction.remove(key));
        Ok(Decision::commit(transaction, count))
    }
}

/// Receipts that are too old, or too many of one subject.
fn receipts(cluster: &Cluster, now: Timestamp, doomed: &mut Vec<Key>) {
    let mut by_subject: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for receipt in cluster.receipts() {
        by_subject.entry(&receipt.key.subject).or_default().push(receipt);
    }
    for mut receipts in by_subject.into_values() {
        receipts.sort_by_key(|receipt| std::cmp::Reverse((receipt.at, receipt.revision)));
        let past = receipts
            .iter()
            .enumerate()
            .filter(|(rank, receipt)| *rank >= RECEIPTS_PER_SUBJECT || now.since(receipt.at) >= RECEIPT_LIFE);
        doomed.extend(past.map(|(_, receipt)| Key::Receipt(receipt.key.clone())));
    }
}

fn enrollment_tokens(cluster: &Cluster, now: Timestamp, doomed: &mut Vec<Key>) {
    let past = cluster.enrollment_tokens().filter(|token| token.is_forgettable(now));
    doomed.extend(past.map(|token| Key::EnrollmentToken(token.id)));
}

fn services(cluster: &Cluster, now: Timestamp, doomed: &mut Vec<Key>) {
    for service in cluster.services() {
        if service.status == ServiceStatus::Deleted && now.since(service.updated_at) >= DELETED_SERVICE_LIFE {
            whole(cluster, service, doomed);
        } else {
            surplus(cluster, service, doomed);
        }
    }
}

/// A service with all that belongs to it. The service itself comes last, so that what a limit cuts off is found again.
fn whole(cluster: &Cluster, service: &Service, doomed: &mut Vec<Key>) {
    doomed.extend(cluster.tasks_of_service(service.id).map(|task| Key::Task(task.id)));
    doomed.extend(cluster.index().deployments_of(service.id).map(Key::Deployment));
    doomed.extend(
        cluster.service_revisions(service.id).map(|row| Key::ServiceRevision(service.id, row.version)),
    );
    doomed.push(Key::Service(service.id));
}

/// Deployments and versions of a service that are more than anyone looks back at.
fn surplus(cluster: &Cluster, service: &Service, doomed: &mut Vec<Key>) {
    let deployments = cluster.deployments_of(service.id);
    let ended = deployments.iter().filter(|deployment| deployment.status.is_terminal()).count();
    let mut excess = ended.saturating_sub(DEPLOYMENTS_PER_SERVICE);
    let mut kept: Vec<&Deployment> = Vec::new();
    for deployment in deployments {
        if excess > 0 && deployment.status.is_terminal() {
            excess -= 1;
            doomed.push(Key::Deployment(deployment.id));
        } else {
            kept.push(deployment);
        }
    }
    let referred: BTreeSet<Version> = std::iter::once(service.version)
        .chain(cluster.tasks_of_service(service.id).map(|task| task.version))
        .chain(
            kept.iter()
                .flat_map(|deployment| [Some(deployment.to_version), deployment.from_version])
                .flatten(),
        )
        .collect();
    let spare: Vec<_> = cluster
        .service_revisions(service.id)
        .map(|row| row.version)
        .filter(|version| !referred.contains(version))
        .collect();
    let excess = spare.len().saturating_sub(SPARE_VERSIONS_PER_SERVICE);
    doomed.extend(spare[..excess].iter().map(|version| Key::ServiceRevision(service.id, *version)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Revision, Transaction};
    use crate::command::versions::tests::{end_active, service};
    use crate::command::{DeleteService, RollOut};
    use crate::deployment::DeploymentStatus;
    use crate::record::{Receipt, ReceiptKey, RequestDigest};
    use crate::testing::World;

    fn put_receipts(world: &mut World, subject: &str, count: usize) {
        let mut transaction = Transaction::default();
        for i in 0..count {
            transaction.put(Receipt {
                key: ReceiptKey {
                    subject: subject.parse().unwrap(),
                    action: "service.create".to_owned(),
                    namespace: None,
                    key: format!("k{:06}-{}", i, world.now.as_micros()).parse().unwrap(),
                },
                digest: RequestDigest([0; 32]),
                object: String::new(),
                revision: Revision(i as u64),
                at: world.now,
            });
        }
        world.apply(transaction);
    }

    fn prune(world: &mut World, limit: usize) -> usize {
        world.execute(PruneState { limit }).unwrap()
    }

    #[test]
    fn receipts_go_when_old_or_too_many_of_one_subject() {
        let mut world = World::new();
        put_receipts(&mut world, "ann", 3);
        world.advance(RECEIPT_LIFE - Duration::from_secs(1));
        put_receipts(&mut world, "ann", RECEIPTS_PER_SUBJECT - 1);
        put_receipts(&mut world, "bob", 5);
        assert_eq!(prune(&mut world, 100), 2, "the oldest of the one who has too many");
        assert_eq!(prune(&mut world, 100), 0);
        world.advance(Duration::from_secs(1));
        assert_eq!(prune(&mut world, 100), 1, "the last of the old ones");
        assert_eq!(world.cluster.receipts().count(), RECEIPTS_PER_SUBJECT - 1 + 5);
        let revision = world.cluster.revision();
        assert_eq!(prune(&mut world, 100), 0);
        assert_eq!(world.cluster.revision(), revision, "nothing to do is no transaction");
    }

    #[test]
    fn a_deleted_service_goes_whole_after_its_time_in_steps_as_large_as_allowed() {
        let (mut world, id) = service();
        world.place(id, 1, None);
        world.execute(DeleteService { service: id }).unwrap();
        world.advance(DELETED_SERVICE_LIFE - Duration::from_micros(1));
        assert_eq!(prune(&mut world, 100), 0);
        world.advance(Duration::from_micros(1));
        let mut steps = 0;
        while prune(&mut world, 1) == 1 {
            steps += 1;
        }
        assert_eq!(steps, 4, "task, deployment, version, service");
        assert_eq!(world.cluster.rows().count(), 0);
    }

    #[test]
    fn old_deployments_and_versions_go_and_what_is_referred_to_stays() {
        let (mut world, id) = service();
        let old_task = world.place(id, 1, None);
        for i in 2..=45 {
            end_active(&mut world, id, DeploymentStatus::Succeeded);
            world.advance(Duration::from_secs(1));
            let image = format!("web:{i}").parse().unwrap();
            let command = RollOut { service: id, image, max_unavailable: None, max_surge: None };
            world.execute(command).unwrap();
        }
        assert_eq!(prune(&mut world, 10), 10, "no more than allowed");
        while prune(&mut world, 10) > 0 {}
        let deployments = world.cluster.deployments_of(id);
        assert_eq!(deployments.len(), DEPLOYMENTS_PER_SERVICE + 1, "the one under way stays");
        assert_eq!(deployments[0].to_version, Version(25));
        let versions: Vec<_> = world.cluster.service_revisions(id).map(|row| row.version.0).collect();
        let expected: Vec<_> = std::iter::once(1).chain(14..=45).collect();
        assert_eq!(versions, expected, "the task's, ten spare ones, and those of kept deployments");
        assert_eq!(world.cluster.task(old_task).unwrap().version, Version(1));
    }
}
