//! A few seeds on every run of the tests, and proof that the oracle can fail.

use std::sync::Arc;

use orch_sim::planted::Planted;
use orch_sim::shrink::shrink;
use orch_sim::{Plan, run};

fn with(planted: Planted) -> Plan {
    Plan { planted: Some(planted), ..Plan::default() }
}

/// The first failure that a planted fault leads to, within a few seeds.
fn found(planted: Planted) -> String {
    let plan = with(planted);
    let failure = (1..=5).find_map(|seed| run(seed, &plan).failure);
    failure.unwrap_or_else(|| panic!("the oracle does not find {planted:?}"))
}

#[test]
fn ten_seeds_hold() {
    for seed in 1..=10 {
        let outcome = run(seed, &Plan::default());
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.acknowledged > 10, "seed {seed} tries something: {outcome:?}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    assert_eq!(run(11, &Plan::default()), run(11, &Plan::default()));
    assert_ne!(run(11, &Plan::default()).trace, run(12, &Plan::default()).trace);
}

#[test]
fn a_scheduler_that_books_a_node_twice_is_found() {
    let failure = found(Planted::DoubleBooking);
    assert!(failure.contains("reserve more than it has"), "{failure}");
}

/// M41: without the brake most of a cluster is made anew on the few nodes that are left.
#[test]
fn a_control_plane_that_gives_up_most_of_its_nodes_is_found() {
    let plan = with(Planted::NoBrake);
    let found = (1..=20).find_map(|seed| run(seed, &plan).failure).expect("one of twenty finds it");
    assert!(found.contains(": 9: "), "{found}");
}

#[test]
fn a_disk_that_loses_what_it_acknowledged_is_found() {
    let failure = found(Planted::LostWrites);
    assert!(failure.contains(": 1: "), "{failure}");
}

#[test]
fn a_network_that_swallows_reports_of_removal_is_found() {
    let failure = found(Planted::SwallowedRemovals);
    assert!(failure.contains(": 7: not converged"), "{failure}");
}

#[test]
fn a_validator_that_refuses_honest_agents_is_found() {
    let failure = found(Planted::FlakyValidator);
    assert!(failure.contains(": 6: a credential that lives was refused"), "{failure}");
}

#[test]
fn a_feed_that_leaves_something_out_is_found() {
    let failure = found(Planted::FeedDrops);
    assert!(failure.contains(": 8: "), "{failure}");
}

#[test]
fn a_story_that_fails_is_told_shorter_and_can_be_told_again() {
    let plan = with(Planted::Everybody);
    let mut seeds = (1..=10).map(|seed| (seed, run(seed, &plan)));
    let (seed, failed) = seeds.find(|(_, outcome)| outcome.failure.is_some()).expect("one of ten fails");
    let (skip, told) = shrink(seed, &plan, &failed, 16);
    assert!(!skip.is_empty() && !told.told.is_empty());
    let again = run(seed, &Plan { skip: Arc::new(skip), ..plan });
    assert_eq!((again.failure, again.trace), (told.failure, told.trace));
}
