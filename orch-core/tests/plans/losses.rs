//! Nodes that go, and come back or not.

use std::time::Duration;

use orch_core::command::{RemoveNode, RevokeNode};
use orch_core::node::OfflineCause;
use orch_core::service::OnDisconnect;
use orch_core::task::DesiredStatus;
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan};

fn revoke(site: &mut Site, name: &str) {
    let node = site.world.cluster.node_named(&name.parse().unwrap()).unwrap().id;
    site.world.execute(RevokeNode { node }).unwrap();
}

#[test]
fn tasks_of_a_silent_node_are_replaced_at_once_and_removed_when_it_returns() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    site.gone("a", OfflineCause::Silent);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/1 on b
    "
    );
    site.settle();
    let left = site.tasks().into_iter().filter(|task| task.desired == DesiredStatus::Removed).count();
    assert_eq!(left, 1, "what it has of the task is not known");
    site.back("a");
    site.settle();
    assert_eq!(site.running(), "1 v1 b, 2 v1 b");
    assert!(site.tasks().iter().all(|task| task.is_active() || task.status.is_terminal()));
}

#[test]
fn a_node_that_said_goodbye_is_waited_for() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.gone("a", OfflineCause::Shutdown);
    let until = site.world.now + site.world.policy.shutdown_grace;
    let plan = site.look();
    assert_plan!(plan, &format!("held: web/1: its node is away until {until} at most"));
    assert_eq!(plan.look_again, Some(until));
    site.advance(299);
    site.assert_quiet();
    site.advance(1);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/1 on b
    "
    );
}

#[test]
fn a_node_that_comes_back_within_its_grace_keeps_its_tasks() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.gone("a", OfflineCause::Shutdown);
    site.look();
    site.advance(60);
    site.back("a");
    site.assert_quiet();
    assert_eq!(site.running(), "1 v1 a");
}

#[test]
fn a_draining_node_that_goes_is_not_waited_for() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.drain("a");
    site.gone("a", OfflineCause::Shutdown);
    assert_plan!(
        site.look(),
        "
        - web/1 on a
        + web/1 on b
    "
    );
}

#[test]
fn tasks_of_a_revoked_node_are_replaced_at_once() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    revoke(&mut site, "a");
    assert_plan!(site.look(), "+ web/1 on b");
    assert_eq!(site.running(), "1 v1 b");
}

#[test]
fn no_task_outlives_the_row_of_its_node() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.gone("a", OfflineCause::Silent);
    let node = site.task(1).node.unwrap();
    site.world.execute(RemoveNode { node, confirmed_dead: true }).unwrap();
    site.look();
    assert_eq!(site.running(), "1 v1 b");
    assert_eq!(site.tasks().len(), 1);
}

#[test]
fn a_stateful_task_is_not_replaced_while_its_node_may_live() {
    let mut spec = web_spec("db", 1);
    spec.stateful = true;
    let mut site = Site::settled(&["a", "b"], spec);
    site.gone("a", OfflineCause::Silent);
    let held = "held: db/1: its node is lost; a stateful replica is not replaced unless the node is removed";
    assert_plan!(site.look(), held);
    site.world.advance(Duration::from_secs(30 * 24 * 3600));
    assert_plan!(site.look(), held);
    revoke(&mut site, "a");
    assert_plan!(site.look(), "+ db/1 on b");
}

#[test]
fn a_stateful_task_on_its_way_out_of_a_lost_node_keeps_its_slot() {
    let mut spec = web_spec("db", 1);
    spec.stateful = true;
    let mut site = Site::settled(&["a", "b"], spec);
    site.drain("a");
    site.look();
    site.gone("a", OfflineCause::Silent);
    assert_plan!(
        site.look(),
        "held: db/1: its node is lost; a stateful replica is not replaced unless the node is removed"
    );
    site.back("a");
    site.settle();
    assert_eq!(site.running(), "1 v1 b");
}

/// M41: nothing of a node that fell silent with too many others is replaced, whatever else is to be done; a person, or the
/// share, lets it go on. Without `Wait::Many` its tasks would be made anew on the few nodes that are left.
#[test]
fn tasks_of_nodes_that_fell_silent_together_are_held_until_a_person_or_their_return_says_otherwise() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    site.gone("a", OfflineCause::SilentWithMany { replace_at: None });
    let held = "held: web/1: its node fell silent with too many others at once; it is not replaced until enough of them are \
                heard again, or the node is given up";
    assert_plan!(site.look(), held);
    site.advance(24 * 3600);
    assert_plan!(site.look(), held);
    site.scale(3);
    assert_plan!(site.look(), &format!("+ web/3 on b\n{held}"));

    let until = site.world.now + Duration::from_secs(30);
    site.change_node("a", |node| {
        node.status = node.status.offline_for(OfflineCause::SilentWithMany { replace_at: Some(until) });
    });
    let plan = site.look();
    assert_eq!(plan.look_again, Some(until));
    assert!(plan.to_string().contains(&format!("not replaced before {until}")), "{plan}");
    site.change_node("a", |node| node.status = node.status.offline_for(OfflineCause::GivenUp));
    assert_plan!(site.look(), "- web/1 on a\n+ web/1 on b");
}

/// M42: what ran out while the control plane was away has run out for nobody. Without `Wait::Unheard` a node that is upgraded
/// while the server is down would lose its tasks the moment the server is back.
#[test]
fn a_node_that_could_not_be_heard_is_waited_for() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 1));
    site.gone("a", OfflineCause::Shutdown);
    site.advance(3600);
    let until = site.world.now + Duration::from_secs(30);
    site.world.hears_from = until;
    let plan = site.look();
    assert_plan!(
        plan,
        &format!(
            "held: web/1: the control plane listens for its node, and does not replace it before {until}"
        )
    );
    assert_eq!(plan.look_again, Some(until));
    site.advance(30);
    assert_plan!(site.look(), "- web/1 on a\n+ web/1 on b");
}

fn with(on_disconnect: OnDisconnect) -> Site {
    let mut spec = web_spec("web", 1);
    spec.template.on_disconnect = on_disconnect;
    Site::settled(&["a", "b"], spec)
}

/// M38: each policy in the one place that knows them, `OnDisconnect::replaced_after`.
#[test]
fn a_silent_nodes_task_is_replaced_when_its_spec_says() {
    let minute = Duration::from_secs(60);
    for (policy, wait) in [
        (OnDisconnect::ReplaceAfter(minute), 60),
        (OnDisconnect::StopAfter(minute), 60 + 10 + 15), // the grace of its stop, and a margin
    ] {
        let mut site = with(policy);
        site.gone("a", OfflineCause::Silent);
        let plan = site.look();
        assert!(plan.to_string().contains("not replaced before"), "{plan}");
        assert_eq!(plan.look_again, Some(site.world.now + Duration::from_secs(wait)), "{policy:?}");
        site.advance(wait - 1);
        site.assert_quiet();
        site.advance(1);
        assert_plan!(site.look(), "- web/1 on a\n+ web/1 on b");
    }
    let mut site = with(OnDisconnect::Keep);
    site.gone("a", OfflineCause::Silent);
    site.advance(365 * 24 * 3600);
    assert_plan!(site.look(), "held: web/1: its node is silent; as its spec says, it is kept");
    revoke(&mut site, "a");
    assert_plan!(site.look(), "+ web/1 on b");
}

/// M38: not even a rollout puts another beside one that may run still. Without the exception in `retire_slot` it would be
/// started at once.
#[test]
fn a_rollout_waits_until_a_task_that_stops_by_itself_must_have_stopped() {
    let mut site = with(OnDisconnect::StopAfter(Duration::from_secs(60)));
    site.gone("a", OfflineCause::Silent);
    site.roll_out("web:2", 1, 0);
    let plan = site.look();
    assert!(plan.to_string().contains("stops it by itself"), "{plan}");
    assert_eq!(site.running(), "1 v1 a");
    site.advance(85);
    site.settle();
    assert_eq!(site.running(), "1 v2 b");
}
