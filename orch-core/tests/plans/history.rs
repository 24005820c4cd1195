//! What is remembered, and for how long.

use std::time::Duration;

use orch_core::task::FailureKind;
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan};

#[test]
fn a_crash_loop_of_a_week_keeps_a_flat_size() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    let others = site.world.cluster.rows().count() - site.tasks().len();
    let end = site.world.now + Duration::from_secs(7 * 24 * 3600);
    let (mut largest, mut made) = (0, 0);
    while site.world.now < end {
        let active: Vec<u32> =
            site.tasks().iter().filter(|task| task.is_active()).map(|t| t.slot.0).collect();
        for slot in active {
            site.fail(slot, FailureKind::Exited);
        }
        let plan = site.look();
        made += plan.steps.iter().filter(|s| matches!(s, orch_core::reconcile::Step::Start { .. })).count();
        largest = largest.max(site.tasks().len());
        if !site.tasks().iter().any(|task| task.is_active()) {
            site.world.now = plan.look_again.expect("it waits for something");
        }
    }
    assert!(largest <= 2 * 4, "{largest} rows");
    let least = 2 * 7 * 24 * 60;
    assert!((least..least * 3).contains(&made), "about one a minute and slot: {made}");
    assert_eq!(site.world.cluster.rows().count() - site.tasks().len(), others, "no other row was made");
}

#[test]
fn the_three_newest_of_a_slot_are_kept() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    for _ in 0..4 {
        site.agents();
        site.advance(60);
        site.fail(1, FailureKind::Exited);
        site.look();
    }
    let ended = site.tasks().into_iter().filter(|task| task.status.is_terminal());
    assert_eq!(ended.count(), 3);
}

#[test]
fn slots_that_are_not_wanted_any_more_are_forgotten_after_an_hour() {
    let mut site = Site::settled(&["a"], web_spec("web", 2));
    site.scale(1);
    site.look();
    site.agents();
    let plan = site.look();
    assert_plan!(plan, "");
    assert_eq!(plan.look_again, Some(site.world.now + Duration::from_secs(3600)));
    site.advance(3600);
    assert_plan!(site.look(), "forget web/2");
    assert_eq!(site.tasks().len(), 1);
}
