//! One writer: groups, answers, and what becomes of them when the store fails.

use std::time::Duration;

use futures_util::future::FutureExt as _;

use super::harness::{Harness, Look, Panic, Put, Take, name};
use crate::agent::AgentApiError;
use crate::cluster::Revision;
use crate::command::{ExecuteError, Rejection};
use crate::control_plane::{AgentConnection, Health};
use crate::env::Env as _;
use crate::id::IdStream;
use crate::identity::Permit;
use crate::record::EventKind;
use crate::store::{EventFilter, History as _, Store as _};
use crate::testing::Fault;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn commands_that_come_during_a_commit_are_written_as_one_group() {
    let harness = Harness::start(1);
    harness.store.hold();
    let first = harness.send(Put("a"));
    harness.settle();
    let more: Vec<_> = ["b", "c", "d"].map(|name| harness.send(Put(name))).into();
    harness.settle();
    assert!(!first.is_answered());
    harness.store.release(2);
    harness.settle();
    assert_eq!(harness.store.groups(), [1, 3]);
    assert_eq!(first.take().unwrap().unwrap(), Revision(1));
    let mut revisions: Vec<_> = more.iter().map(|sent| sent.take().unwrap().unwrap()).collect();
    revisions.sort();
    assert_eq!(revisions, [Revision(2), Revision(3), Revision(4)]);
}

#[test]
fn callers_that_ask_again_at_once_join_those_who_waited_meanwhile() {
    let harness = Harness::start(15);
    let twice = |first, second| {
        let plane = harness.plane.clone();
        harness.spawn(async move {
            plane.execute(Permit::system("test"), Put(first)).await.unwrap();
            plane.execute(Permit::system("test"), Put(second)).await.unwrap()
        })
    };
    harness.store.hold();
    harness.send(Put("blocker"));
    harness.settle();
    let returning = [twice("a", "a2"), twice("b", "b2"), twice("c", "c2")];
    harness.settle();
    harness.store.release(1);
    harness.settle();
    let waiting = [harness.send(Put("d")), harness.send(Put("e"))];
    // The commit takes a second: there is time to wait for those who are about to come back.
    harness.sim.run_for(SECOND);
    harness.store.release(9);
    harness.settle();
    assert_eq!(harness.store.groups(), [1, 3, 5]);
    assert!(returning.iter().all(super::harness::Sent::is_answered));
    assert!(waiting.iter().all(super::harness::Sent::is_answered));
}

#[test]
fn what_is_decided_on_undurable_state_is_answered_only_when_that_is_durable() {
    let harness = Harness::start(2);
    harness.store.hold();
    let blocker = harness.send(Put("blocker"));
    harness.settle();
    let calls = [harness.send(Put("a")), harness.send(Put("a"))];
    harness.settle();
    let look = harness.send(Look("a"));
    harness.store.release(1);
    harness.settle();
    assert!(blocker.is_answered());
    assert!(calls.iter().all(|call| !call.is_answered()), "the rejection waits for the group too");
    assert!(!look.is_answered(), "so does a look");
    assert!(!harness.plane.image().has_namespace(&name("a")), "readers see durable state alone");
    harness.store.release(1);
    harness.settle();
    let answers = calls.map(|call| call.take().unwrap());
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
    let conflict =
        |answer: &Result<_, _>| matches!(answer, Err(ExecuteError::Rejected(Rejection::Conflict(_))));
    assert_eq!(answers.iter().filter(|answer| conflict(answer)).count(), 1, "{answers:?}");
    look.take().unwrap().unwrap();
}

#[test]
fn a_group_that_is_not_written_leaves_nothing_and_its_callers_may_repeat() {
    let harness = Harness::start(3);
    harness.store.next_commits([Fault::NotWritten]);
    let call = harness.send(Put("a"));
    harness.settle();
    match call.take().unwrap() {
        Err(ExecuteError::Unavailable { retry_after, cause }) => {
            assert!(retry_after > Duration::ZERO);
            assert!(cause.to_string().starts_with("the store cannot be written: "), "{cause}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!harness.plane.health().is_ready());
    assert_eq!(harness.plane.image().revision(), Revision(0));
    let refused = harness.send(Put("a"));
    harness.settle();
    assert!(
        matches!(refused.take(), Some(Err(ExecuteError::Unavailable { .. }))),
        "not before the pause is over"
    );
    harness.sim.run_for(SECOND);
    assert!(harness.plane.health().is_ready(), "found out without anybody asking");
    assert_eq!(harness.execute(Put("a")).unwrap(), Revision(1));
}

#[test]
fn a_rejection_in_a_group_that_is_not_written_is_no_rejection() {
    let harness = Harness::start(4);
    harness.store.hold();
    harness.send(Put("blocker"));
    harness.settle();
    harness.store.next_commits([Fault::NotWritten]);
    let calls = [harness.send(Put("a")), harness.send(Put("a"))];
    harness.settle();
    harness.store.release(9);
    harness.settle();
    for call in calls {
        let answer = call.take().unwrap();
        assert!(matches!(answer, Err(ExecuteError::Unavailable { .. })), "{answer:?}");
    }
}

#[test]
fn a_store_that_keeps_failing_is_asked_ever_less_often() {
    let harness = Harness::start(5);
    harness.store.next_commits([Fault::NotWritten; 1_000]);
    let _call = harness.send(Put("a"));
    harness.sim.run_for(60 * SECOND);
    let asked = harness.store.groups().len();
    assert!((10..25).contains(&asked), "{asked} commits in a minute");
    assert!(matches!(harness.plane.health(), Health::NotReady { .. }));
}

#[test]
fn an_outcome_that_is_not_known_is_looked_up_before_anything_more_is_decided() {
    for (fault, written) in [(Fault::LostAfter, true), (Fault::LostBefore, false)] {
        let harness = Harness::start(6);
        harness.store.next_commits([fault]);
        let call = harness.send(Put("a"));
        harness.settle();
        assert!(matches!(call.take(), Some(Err(ExecuteError::Uncertain(_)))));
        harness.sim.run_for(SECOND);
        assert_eq!(harness.store.opened(), 2);
        assert_eq!(harness.plane.image().has_namespace(&name("a")), written);
        assert!(harness.plane.health().is_ready());
        assert_eq!(harness.execute(Put("b")).unwrap(), Revision(1 + u64::from(written)));
    }
}

#[test]
fn a_store_that_cannot_be_opened_again_is_tried_until_it_can() {
    let harness = Harness::start(7);
    harness.store.next_commits([Fault::LostAfter]);
    harness.store.fail_openings(4);
    let _call = harness.send(Put("a"));
    harness.settle();
    let refused = harness.send(Put("b"));
    harness.settle();
    assert!(matches!(refused.take(), Some(Err(ExecuteError::Unavailable { .. }))));
    harness.sim.run_for(10 * SECOND);
    assert!(harness.plane.health().is_ready());
    assert_eq!(harness.execute(Put("b")).unwrap(), Revision(2));
}

#[test]
fn a_commit_without_an_end_counts_as_not_known() {
    let harness = Harness::start(8);
    harness.store.next_commits([Fault::Hangs]);
    let call = harness.send(Put("a"));
    harness.sim.run_for(29 * SECOND);
    assert!(!call.is_answered());
    harness.sim.run_for(2 * SECOND);
    assert!(matches!(call.take(), Some(Err(ExecuteError::Uncertain(_)))));
    harness.execute(Put("a")).unwrap();
}

#[test]
fn a_store_that_hangs_when_it_is_tried_again_is_given_up_too() {
    let harness = Harness::start(19);
    harness.store.next_commits([Fault::NotWritten, Fault::Hangs]);
    let refused = harness.send(Put("a"));
    harness.sim.run_for(40 * SECOND);
    assert!(matches!(refused.take(), Some(Err(ExecuteError::Unavailable { .. }))));
    assert!(harness.plane.health().is_ready());
    harness.execute(Put("a")).unwrap();
}

#[test]
fn a_writer_that_was_fenced_off_stops_and_says_so() {
    let harness = Harness::start(9);
    harness.execute(Put("a")).unwrap();
    let store = harness.store.clone();
    harness.wait(async move { store.open(IdStream::seeded(1).next()).await }).unwrap();
    let answer = harness.execute(Put("b"));
    assert!(matches!(answer, Err(ExecuteError::Unavailable { .. })), "{answer:?}");
    assert_eq!(harness.plane.health(), Health::Fenced);
    let commits = harness.store.groups().len();
    assert!(matches!(harness.execute(Put("c")), Err(ExecuteError::Unavailable { .. })));
    harness.sim.run_for(600 * SECOND);
    assert_eq!(harness.store.groups().len(), commits, "it does not try again");
    let api = harness.plane.agent_api(AgentConnection::default());
    let answer = harness.wait(async move { api.challenge(&"n".parse().unwrap()).await });
    assert!(matches!(answer, Err(AgentApiError::Unavailable { .. })), "agents are sent elsewhere");
}

#[test]
fn a_decision_that_panics_hurts_its_caller_alone() {
    let harness = Harness::start(10);
    harness.store.hold();
    harness.send(Put("blocker"));
    harness.settle();
    let (before, panics, after) = (harness.send(Put("a")), harness.send(Panic), harness.send(Put("b")));
    harness.settle();
    harness.store.release(9);
    harness.settle();
    assert!(matches!(panics.take(), Some(Err(ExecuteError::Unavailable { .. }))));
    before.take().unwrap().unwrap();
    after.take().unwrap().unwrap();
}

#[test]
fn a_shutdown_answers_what_was_accepted_and_refuses_what_comes_after() {
    let harness = Harness::start(11);
    harness.store.hold();
    let accepted = [harness.send(Put("a")), harness.send(Put("b"))];
    harness.settle();
    let plane = harness.plane.clone();
    let down = harness.spawn(async move { plane.shutdown().await });
    harness.settle();
    assert!(!down.is_answered(), "the commit is under way still");
    harness.store.release(9);
    harness.settle();
    assert!(down.is_answered());
    for call in accepted {
        call.take().unwrap().unwrap();
    }
    assert!(matches!(harness.execute(Put("c")), Err(ExecuteError::Unavailable { .. })));
    assert_eq!(harness.plane.health(), Health::Stopped);
}

#[test]
fn the_writer_ends_with_the_last_handle() {
    let harness = Harness::start(12);
    let shared = std::sync::Arc::downgrade(harness.plane.shared());
    let Harness { sim, plane, .. } = harness;
    drop(plane);
    sim.run_for(Duration::ZERO);
    assert!(shared.upgrade().is_none(), "no task keeps it alive");
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash() {
    let mut harness = Harness::start(13);
    harness.execute(Put("a")).unwrap();
    let cluster = harness.plane.image().id();
    harness.store.hold();
    let lost = harness.send(Put("b"));
    harness.settle();
    harness.restart(0);
    harness.store.release(9);
    harness.settle();
    assert!(matches!(lost.take(), Some(Err(ExecuteError::Uncertain(_)))));
    let image = harness.plane.image();
    assert!(image.has_namespace(&name("a")) && !image.has_namespace(&name("b")));
    assert_eq!(image.id(), cluster);
}

#[test]
fn a_wait_sees_what_is_committed_and_no_more() {
    let harness = Harness::start(14);
    let plane = harness.plane.clone();
    let waiter = harness.spawn(async move {
        let look = |view: &crate::control_plane::query::View| {
            view.cluster().has_namespace(&name("a")).then(|| view.cluster().revision())
        };
        plane.wait_for(&Permit::system("test"), look).await
    });
    harness.execute(Put("b")).unwrap();
    harness.settle();
    assert!(!waiter.is_answered());
    harness.execute(Put("a")).unwrap();
    harness.settle();
    assert_eq!(waiter.take(), Some(Some(Revision(2))));
}

#[test]
fn the_feed_tells_every_transaction_in_order() {
    let harness = Harness::start(15);
    let mut feed = harness.plane.commits();
    for name in ["a", "b", "c"] {
        harness.execute(Put(name)).unwrap();
    }
    harness.execute(Take("b")).unwrap();
    let mut copy = crate::cluster::Cluster::new(harness.plane.image().id());
    for revision in 1..=4 {
        let committed = feed.next().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(committed.revision, Revision(revision));
        copy.apply(&committed.transaction);
    }
    assert!(copy.rows().eq(harness.plane.image().rows()));
}

#[test]
fn listeners_are_told_that_the_state_was_read_anew() {
    let harness = Harness::start(18);
    let mut feed = harness.plane.commits();
    for (name, fault, told) in [("a", Fault::LostBefore, false), ("b", Fault::LostAfter, true)] {
        harness.store.next_commits([fault]);
        assert!(matches!(harness.execute(Put(name)), Err(ExecuteError::Uncertain(_))));
        harness.settle();
        let item = feed.next().now_or_never().flatten();
        let lagged = item.map(|item| item.map(|committed| committed.revision));
        assert_eq!(lagged, told.then_some(Err(crate::control_plane::Lagged { lost: 1 })));
    }
}

#[test]
fn cluster_time_does_not_follow_the_wall_clock_and_a_step_is_told_once() {
    let harness = Harness::start(16);
    let before = harness.plane.now();
    for step in [3_600_000_000, -7_200_000_000] {
        harness.sim.step_wall_clock(harness.server, step);
        harness.sim.run_for(60 * SECOND);
    }
    assert_eq!(harness.plane.now().since(before), 120 * SECOND);
    let steps = EventFilter { kind: Some(EventKind::ClockStepped), limit: 10, ..EventFilter::default() };
    let told = harness.store.events(&steps).now_or_never().unwrap().unwrap();
    assert_eq!(told.len(), 2);
}

#[test]
fn cluster_time_does_not_go_back_over_a_restart() {
    let mut harness = Harness::start(17);
    harness.sim.run_for(60 * SECOND);
    harness.execute(Put("a")).unwrap();
    let before = harness.plane.now();
    harness.restart(-3_600_000_000);
    assert!(harness.plane.now() >= before, "the next server's clock is an hour behind");
    assert!(harness.sim.env(harness.server).now() < before);
}
