//! The contract of [`Store`], as tests.

use std::time::Duration;

use super::sample::{NOW, Sample, namespace};
use crate::cluster::{Change, Cluster, Revision, Transaction};
use crate::id::{ClusterId, IdStream, NodeId, TaskId};
use crate::record::{EventKind, RelatedObject, Severity};
use crate::store::{AuditFilter, CommitError, Epoch, EventFilter, EventSeq, Image, Store};

/// Makes a module `$name` with the tests of the store contract. `$make` is evaluated once a test, may `.await`, and yields
/// something that dereferences to a [`Store`](crate::store::Store): `Box::new(MemoryStore::new())`, an `Arc`, or a fixture
/// that also holds a folder. Each must be new and empty.
///
/// ```ignore
/// orch_core::store_contract!(memory => Box::new(MemoryStore::new()));
/// ```
#[macro_export]
macro_rules! store_contract {
    ($name:ident => $make:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::store_contract!(@tests $make;
                a_new_store_takes_the_id_it_is_given_and_keeps_it
                opening_again_fences_the_writer_before
                revisions_count_transactions_without_a_gap
                a_group_on_another_base_is_not_written
                every_kind_of_row_comes_back_as_it_was_written
                rows_are_overwritten_and_removed
                within_a_group_the_last_write_of_a_row_wins
                opening_again_gives_the_same_image
                an_empty_group_changes_nothing_and_proves_the_right_to_write
                a_large_group_is_written_whole
                events_come_newest_first_and_by_filter
                audit_records_come_newest_first_and_by_filter
                pruning_removes_what_is_old_and_nothing_else
                a_group_that_is_not_written_leaves_no_history
            );
        }
    };
    (@tests $make:expr; $($test:ident)*) => {$(
        #[tokio::test]
        async fn $test() {
            let store = $make;
            $crate::testing::contract::store::$test(&*store).await;
        }
    )*};
}

fn fresh(seed: u64) -> ClusterId {
    IdStream::seeded(seed).next()
}

async fn open(store: &dyn Store) -> (Epoch, Image) {
    store.open(fresh(1)).await.expect("the store opens")
}

fn writes(changes: impl IntoIterator<Item = Change>) -> Transaction {
    Transaction { changes: changes.into_iter().collect(), ..Transaction::default() }
}

/// The rows of an image in an order of their own: stores need not keep one.
fn sorted(image: &Image) -> Vec<Change> {
    let mut rows = image.rows.clone();
    rows.sort_by_key(Change::key);
    rows
}

#[doc(hidden)]
pub async fn a_new_store_takes_the_id_it_is_given_and_keeps_it(store: &dyn Store) {
    let (_, image) = store.open(fresh(1)).await.expect("the store opens");
    assert_eq!((image.cluster, image.revision), (fresh(1), Revision(0)));
    assert!(image.rows.is_empty());
    let (_, image) = store.open(fresh(2)).await.expect("the store opens again");
    assert_eq!(image.cluster, fresh(1), "a cluster keeps its id");
}

#[doc(hidden)]
pub async fn opening_again_fences_the_writer_before(store: &dyn Store) {
    let (old, image) = open(store).await;
    let (new, _) = open(store).await;
    assert!(new > old, "epochs only grow: {old:?} then {new:?}");
    let group = [writes([Sample::seeded(1).every_row().remove(0)])];
    match store.commit(old, image.revision, &group).await {
        Err(CommitError::Fenced { newest }) => assert_eq!(newest, new),
        other => panic!("expected a fence, got {other:?}"),
    }
    let revision = store.commit(new, image.revision, &group).await.expect("the newest writer writes");
    assert_eq!(revision, Revision(1));
}

#[doc(hidden)]
pub async fn revisions_count_transactions_without_a_gap(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut rows = Sample::seeded(2);
    let mut transaction = || {
        let id = rows.id();
        writes([rows.node(id).into()])
    };
    let group = [transaction(), transaction(), transaction()];
    assert_eq!(store.commit(epoch, Revision(0), &group).await.expect("written"), Revision(3));
    assert_eq!(store.commit(epoch, Revision(3), &[transaction()]).await.expect("written"), Revision(4));
    assert_eq!(open(store).await.1.revision, Revision(4));
}

#[doc(hidden)]
pub async fn a_group_on_another_base_is_not_written(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let rows = Sample::seeded(3).every_row();
    for base in [Revision(1), Revision(7)] {
        let answer = store.commit(epoch, base, &[writes(rows.clone())]).await;
        assert!(matches!(answer, Err(CommitError::NotWritten(_))), "base {base}: {answer:?}");
    }
    store.commit(epoch, Revision(0), &[writes(rows)]).await.expect("the right base is taken");
    let answer = store.commit(epoch, Revision(0), &[writes(Sample::seeded(4).every_row())]).await;
    assert!(matches!(answer, Err(CommitError::NotWritten(_))), "an old base: {answer:?}");
    let (_, image) = open(store).await;
    assert_eq!((image.revision, image.rows.len()), (Revision(1), Sample::seeded(1).every_row().len()));
}

#[doc(hidden)]
pub async fn every_kind_of_row_comes_back_as_it_was_written(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut rows = Sample::seeded(5).every_row();
    store.commit(epoch, Revision(0), &[writes(rows.clone())]).await.expect("written");
    rows.sort_by_key(Change::key);
    assert_eq!(sorted(&open(store).await.1), rows);
}

#[doc(hidden)]
pub async fn rows_are_overwritten_and_removed(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(6);
    let rows = sample.every_row();
    store.commit(epoch, Revision(0), &[writes(rows.clone())]).await.expect("written");
    let changed = rows.iter().map(alter).collect::<Vec<_>>();
    store.commit(epoch, Revision(1), &[writes(changed.clone())]).await.expect("overwritten");
    let mut expected = changed;
    expected.sort_by_key(Change::key);
    assert_eq!(sorted(&open(store).await.1), expected);

    let (epoch, image) = open(store).await;
    let gone = rows.iter().rev().map(|row| Change::Remove(row.key()));
    store.commit(epoch, image.revision, &[writes(gone.clone())]).await.expect("removed");
    let (epoch, image) = open(store).await;
    assert_eq!(image.rows, Vec::new());
    store.commit(epoch, image.revision, &[writes(gone)]).await.expect("removing what is gone is no error");
}

#[doc(hidden)]
pub async fn within_a_group_the_last_write_of_a_row_wins(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let rows = Sample::seeded(7).every_row();
    let (kept, removed) = (rows[1].clone(), rows[0].clone());
    let group = [
        writes([kept.clone(), removed.clone()]),
        writes([Change::Remove(kept.key()), Change::Remove(removed.key())]),
        writes([kept.clone(), alter(&kept), removed.clone(), Change::Remove(removed.key())]),
    ];
    assert_eq!(store.commit(epoch, Revision(0), &group).await.expect("written"), Revision(3));
    assert_eq!(open(store).await.1.rows, vec![alter(&kept)]);
}

#[doc(hidden)]
pub async fn opening_again_gives_the_same_image(store: &dyn Store) {
    let (epoch, image) = open(store).await;
    let mut cluster = Cluster::from_rows(image.cluster, image.revision, image.rows);
    let mut sample = Sample::seeded(8);
    for _ in 0..5 {
        let base = cluster.revision();
        let group = [writes(sample.every_row()), writes(sample.every_row())];
        group.iter().for_each(|transaction| {
            cluster.apply(transaction);
        });
        assert_eq!(store.commit(epoch, base, &group).await.expect("written"), cluster.revision());
    }
    let (_, image) = open(store).await;
    assert_eq!((image.cluster, image.revision), (cluster.id(), cluster.revision()));
    let mut rows: Vec<Change> = cluster.rows().collect();
    rows.sort_by_key(Change::key);
    assert_eq!(sorted(&image), rows);
}

#[doc(hidden)]
pub async fn an_empty_group_changes_nothing_and_proves_the_right_to_write(store: &dyn Store) {
    let (old, _) = open(store).await;
    assert_eq!(store.commit(old, Revision(0), &[]).await.expect("nothing to write"), Revision(0));
    let (new, image) = open(store).await;
    assert_eq!((image.revision, image.rows.len()), (Revision(0), 0));
    let answer = store.commit(old, Revision(0), &[]).await;
    assert!(matches!(answer, Err(CommitError::Fenced { .. })), "an old writer learns it: {answer:?}");
    store.commit(new, Revision(0), &[]).await.expect("the newest writer may");
}

#[doc(hidden)]
pub async fn a_large_group_is_written_whole(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(9);
    let group: Vec<Transaction> = (0..250)
        .map(|_| {
            let mut transaction = Transaction::default();
            for _ in 0..10 {
                let (task, service) = (sample.id(), sample.id());
                transaction.put(sample.task(task, service, None));
            }
            transaction.events.push(sample.event(EventKind::TaskAssigned, None, NOW));
            transaction
        })
        .collect();
    assert_eq!(store.commit(epoch, Revision(0), &group).await.expect("written"), Revision(250));
    assert_eq!(open(store).await.1.rows.len(), 2_500);
    let all = EventFilter { limit: 1_000, ..EventFilter::default() };
    assert_eq!(store.events(&all).await.expect("answered").len(), 250);
}

#[doc(hidden)]
pub async fn events_come_newest_first_and_by_filter(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(10);
    let (node, task): (NodeId, TaskId) = (sample.id(), sample.id());
    let second = Duration::from_secs(1);
    let mut events = [
        sample.event(EventKind::NodeRegistered, Some(RelatedObject::Node(node)), NOW),
        sample.event(EventKind::TaskAssigned, Some(RelatedObject::Task(task)), NOW + second),
        sample.event(EventKind::TaskFailed, Some(RelatedObject::Task(task)), NOW + second),
        sample.event(EventKind::ServiceCreated, Some(RelatedObject::Service(sample_id(3))), NOW + second * 2),
        sample.event(
            EventKind::NamespaceCreated,
            Some(RelatedObject::Namespace(namespace())),
            NOW + second * 3,
        ),
    ];
    events[0].namespace = None;
    events[2].severity = Severity::Error;
    events[4].namespace = Some("other".parse().expect("a namespace"));
    // About a task and a node, and of a service all the same.
    events[0].concern(sample_id(4));
    events[1].concern(sample_id(3));
    let group = [
        Transaction { events: events[..2].to_vec(), ..Transaction::default() },
        Transaction { events: events[2..].to_vec(), ..Transaction::default() },
    ];
    store.commit(epoch, Revision(0), &group).await.expect("written");

    let all = EventFilter { limit: 100, ..EventFilter::default() };
    let filters = [
        all.clone(),
        EventFilter { limit: 2, ..all.clone() },
        EventFilter { limit: 0, ..all.clone() },
        EventFilter { namespace: Some(namespace()), ..all.clone() },
        EventFilter { namespace: Some(namespace()), limit: 2, ..all.clone() },
        EventFilter { task: Some(task), ..all.clone() },
        EventFilter { node: Some(node), ..all.clone() },
        EventFilter { service: Some(sample_id(3)), ..all.clone() },
        EventFilter { service: Some(sample_id(4)), ..all.clone() },
        EventFilter { task: Some(task), severity: Some(Severity::Error), ..all.clone() },
        EventFilter { kind: Some(EventKind::TaskAssigned), ..all.clone() },
        EventFilter { since: Some(NOW + second), ..all.clone() },
        EventFilter { since: Some(NOW + second + Duration::from_micros(1)), ..all },
    ];
    for filter in filters {
        let expected: Vec<_> =
            events.iter().rev().filter(|event| filter.matches(event)).take(filter.limit).cloned().collect();
        assert_eq!(store.events(&filter).await.expect("answered"), expected, "{filter:?}");
        let places = [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
            .map(|(revision, ordinal)| EventSeq { revision: Revision(revision), ordinal });
        assert_eq!(store.oldest_event().await.expect("answered"), Some(places[0]));
        let between = [EventSeq::default(), EventSeq::end_of(Revision(1)), EventSeq::end_of(Revision(2))];
        for after in places.into_iter().chain(between) {
            let later =
                places.into_iter().zip(&events).filter(|(seq, event)| *seq > after && filter.matches(event));
            let expected: Vec<_> =
                later.map(|(seq, event)| (seq, event.clone())).take(filter.limit).collect();
            let answered = store.events_after(after, &filter).await.expect("answered");
            assert_eq!(answered, expected, "after {after}: {filter:?}");
        }
    }
}

#[doc(hidden)]
pub async fn audit_records_come_newest_first_and_by_filter(store: &dyn Store) {
    use crate::record::{ActorType, Outcome};
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(11);
    let second = Duration::from_secs(1);
    let mut records = [
        sample.audit("service.create", "ada", NOW),
        sample.audit("service.scale", "ada", NOW + second),
        sample.audit("service.scale", "bob", NOW + second),
        sample.audit("node.drain", "bob", NOW + second * 2),
    ];
    records[1].outcome = Outcome::Failure;
    records[2].actor_type = ActorType::System;
    records[3].namespace = None;
    records[3].target_type = "node".to_owned();
    records[3].target_id = "n1".to_owned();
    let group = [Transaction { audit: records.to_vec(), ..Transaction::default() }];
    store.commit(epoch, Revision(0), &group).await.expect("written");

    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        all.clone(),
        AuditFilter { limit: 3, ..all.clone() },
        AuditFilter { namespace: Some(namespace()), ..all.clone() },
        AuditFilter { namespace: Some("other".parse().expect("a namespace")), ..all.clone() },
        AuditFilter { actor_type: Some(ActorType::System), ..all.clone() },
        AuditFilter { actor_id: text("ada"), ..all.clone() },
        AuditFilter { action: text("service.scale"), actor_id: text("bob"), ..all.clone() },
        AuditFilter { target_type: text("node"), target_id: text("n1"), ..all.clone() },
        AuditFilter { target_id: text("no such"), ..all.clone() },
        AuditFilter { outcome: Some(Outcome::Failure), ..all.clone() },
        AuditFilter { since: Some(NOW + second), ..all },
    ];
    for filter in filters {
        let expected: Vec<_> = records
            .iter()
            .rev()
            .filter(|record| filter.matches(record))
            .take(filter.limit)
            .cloned()
            .collect();
        assert_eq!(store.audit(&filter).await.expect("answered"), expected, "{filter:?}");
    }
}

#[doc(hidden)]
pub async fn pruning_removes_what_is_old_and_nothing_else(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(12);
    let second = Duration::from_secs(1);
    let at = [NOW, NOW + second, NOW + second * 2];
    let events: Vec<_> = at.iter().map(|at| sample.event(EventKind::TaskStatusChanged, None, *at)).collect();
    let audit: Vec<_> = at.iter().map(|at| sample.audit("service.scale", "ada", *at)).collect();
    let rows = sample.every_row();
    let transaction = Transaction { changes: rows, events: events.clone(), audit: audit.clone() };
    store.commit(epoch, Revision(0), &[transaction]).await.expect("written");

    assert_eq!(store.prune(at[1], at[2]).await.expect("pruned"), 3, "one event and two audit records");
    let (all_events, all_audit) = (
        EventFilter { limit: 100, ..EventFilter::default() },
        AuditFilter { limit: 100, ..AuditFilter::default() },
    );
    assert_eq!(
        store.events(&all_events).await.expect("answered"),
        [events[2].clone(), events[1].clone()],
        "what is as old as the limit stays"
    );
    assert_eq!(store.audit(&all_audit).await.expect("answered"), [audit[2].clone()]);
    assert_eq!(store.prune(at[1], at[2]).await.expect("pruned"), 0, "nothing is left to remove");
    let (_, image) = open(store).await;
    assert_eq!(
        (image.revision, image.rows.len()),
        (Revision(1), Sample::seeded(1).every_row().len()),
        "the state is not history"
    );
}

#[doc(hidden)]
pub async fn a_group_that_is_not_written_leaves_no_history(store: &dyn Store) {
    let (epoch, _) = open(store).await;
    let mut sample = Sample::seeded(13);
    let transaction = Transaction {
        changes: sample.every_row(),
        events: vec![sample.event(EventKind::ServiceCreated, None, NOW)],
        audit: vec![sample.audit("service.create", "ada", NOW)],
    };
    let answer = store.commit(epoch, Revision(5), std::slice::from_ref(&transaction)).await;
    assert!(matches!(answer, Err(CommitError::NotWritten(_))), "{answer:?}");
    let events = EventFilter { limit: 10, ..EventFilter::default() };
    let audit = AuditFilter { limit: 10, ..AuditFilter::default() };
    assert_eq!(store.events(&events).await.expect("answered"), []);
    assert_eq!(store.audit(&audit).await.expect("answered"), []);
    assert_eq!(store.commit(epoch, Revision(0), &[transaction]).await.expect("written"), Revision(1));
    assert_eq!(store.events(&events).await.expect("answered").len(), 1);
    assert_eq!(store.audit(&audit).await.expect("answered").len(), 1);
}

fn sample_id<I: crate::id::TypedId>(seed: u64) -> I {
    IdStream::seeded(seed).next()
}

/// The same row with something else in it.
fn alter(change: &Change) -> Change {
    use std::sync::Arc;
    let later = NOW + Duration::from_secs(60);
    macro_rules! with {
        ($row:expr, |$copy:ident| $edit:expr) => {{
            let mut $copy = (**$row).clone();
            $edit;
            $copy
        }};
    }
    match change {
        Change::Namespace(row) => with!(row, |r| r.created_at = later).into(),
        Change::Node(row) => with!(row, |r| {
            r.status = crate::node::NodeStatus::Ready;
            r.key = None;
        })
        .into(),
        Change::Credential(row) => row.as_ref().clone().promoted(later).into(),
        Change::EnrollmentToken(row) => with!(row, |r| r.revoked_at = None).into(),
        Change::Service(row) => with!(row, |r| r.spec.replicas = 9).into(),
        Change::ServiceRevision(row) => with!(row, |r| r.created_at = later).into(),
        Change::Task(row) => with!(row, |r| {
            r.note = None;
            r.desired = crate::task::DesiredStatus::Removed;
        })
        .into(),
        Change::Deployment(row) => {
            with!(row, |r| r.status = crate::deployment::DeploymentStatus::Succeeded).into()
        }
        Change::Receipt(row) => Change::Receipt(Arc::new(with!(row, |r| r.object = String::new()))),
        Change::User(row) => with!(row, |r| r.status = crate::user::UserStatus::Disabled).into(),
        Change::ApiToken(row) => with!(row, |r| r.last_used = Some(later)).into(),
        Change::Remove(key) => Change::Remove(key.clone()),
    }
}
