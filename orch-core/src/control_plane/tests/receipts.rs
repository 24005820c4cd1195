//! Idempotency: who asks twice is answered once.

use std::time::Duration;

use super::harness::{Harness, Put, Take};
use crate::cluster::Revision;
use crate::command::{ExecuteError, Rejection};
use crate::control_plane::RequestOptions;
use crate::identity::{Permit, RequestContext, Role, Scope};
use crate::record::RequestDigest;
use crate::record::receipt::RECEIPT_LIFE;
use crate::testing::parts::user;

impl Harness {
    fn permit(&self, subject: &str) -> Permit<Put> {
        self.plane.authorize(user(subject, Role::Admin), Scope::Cluster).unwrap()
    }

    fn keyed(
        &self,
        subject: &str,
        key: &str,
        digest: u8,
        what: &'static str,
    ) -> Result<Revision, ExecuteError> {
        let (plane, permit, options) = (self.plane.clone(), self.permit(subject), options(key, digest));
        self.wait(async move { plane.execute_with(permit, Put(what), options).await })
    }
}

fn options(key: &str, digest: u8) -> RequestOptions {
    RequestOptions {
        context: RequestContext::default(),
        idempotency: Some((key.parse().unwrap(), RequestDigest([digest; 32]))),
    }
}

fn rejected<T: std::fmt::Debug>(answer: Result<T, ExecuteError>) -> Rejection {
    match answer {
        Err(ExecuteError::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

/// What [`Put`] answers a repetition with.
const REPLAYED: Revision = Revision(0);

#[test]
fn a_repeated_request_is_carried_out_once() {
    let mut harness = Harness::start(1);
    assert_eq!(harness.keyed("ada", "k", 1, "a").unwrap(), Revision(1));
    assert_eq!(harness.keyed("ada", "k", 1, "a").unwrap(), REPLAYED);
    assert_eq!(harness.plane.image().revision(), Revision(1));
    harness.restart(0);
    assert_eq!(harness.keyed("ada", "k", 1, "a").unwrap(), REPLAYED, "another server knows it too");
}

#[test]
fn a_repetition_in_the_same_group_is_known_and_waits_for_it() {
    let harness = Harness::start(2);
    harness.store.hold();
    harness.send(Put("blocker"));
    harness.settle();
    let calls = [0, 1].map(|_| {
        let (plane, permit) = (harness.plane.clone(), harness.permit("ada"));
        harness.spawn(async move { plane.execute_with(permit, Put("a"), options("k", 1)).await })
    });
    harness.store.release(1);
    harness.settle();
    assert!(calls.iter().all(|call| !call.is_answered()));
    harness.store.release(1);
    harness.settle();
    let mut answers = calls.map(|call| call.take().unwrap().unwrap());
    answers.sort();
    assert_eq!(answers, [REPLAYED, Revision(2)]);
}

#[test]
fn a_key_belongs_to_one_request_of_one_subject() {
    let harness = Harness::start(3);
    harness.keyed("ada", "k", 1, "a").unwrap();
    assert_eq!(rejected(harness.keyed("ada", "k", 2, "b")), Rejection::KeyReused);
    harness.keyed("bob", "k", 2, "b").unwrap();
    harness.keyed("ada", "k2", 2, "c").unwrap();
}

#[test]
fn a_rejection_leaves_no_receipt() {
    let harness = Harness::start(4);
    harness.execute(Put("a")).unwrap();
    assert!(matches!(rejected(harness.keyed("ada", "k", 1, "a")), Rejection::Conflict(_)));
    harness.execute(Take("a")).unwrap();
    assert_eq!(harness.keyed("ada", "k", 1, "a").unwrap(), Revision(3));
}

#[test]
fn what_was_made_and_is_gone_is_not_made_again_within_a_day() {
    let harness = Harness::start(5);
    harness.keyed("ada", "k", 1, "a").unwrap();
    harness.execute(Take("a")).unwrap();
    assert_eq!(rejected(harness.keyed("ada", "k", 1, "a")), Rejection::AlreadyDone);
    harness.sim.run_for(RECEIPT_LIFE + Duration::from_secs(1));
    harness.keyed("ada", "k", 1, "a").expect("the receipt is past its life");
}
