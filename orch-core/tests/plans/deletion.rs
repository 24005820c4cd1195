//! Services that go.

use orch_core::command::DeleteService;
use orch_core::node::OfflineCause;
use orch_core::record::EventKind;
use orch_core::service::ServiceStatus;
use orch_core::task::FailureKind;
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan};

fn delete(site: &mut Site) {
    let service = site.service;
    site.world.execute(DeleteService { service }).unwrap();
}

#[test]
fn a_service_is_gone_once_its_last_task_is() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    delete(&mut site);
    assert_plan!(site.look(), "held: waiting for the old task to stop");
    assert_eq!(site.row().status, ServiceStatus::Deleting);
    site.agents();
    let plan = site.look();
    assert!(plan.to_string().ends_with("web is deleted\n"), "{plan}");
    assert_eq!(site.row().status, ServiceStatus::Deleted);
    assert_eq!(site.tasks().len(), 0);
    assert_eq!(site.world.count(EventKind::ServiceDeleted), 1);
    site.assert_quiet();
}

#[test]
fn a_lost_node_does_not_hold_a_deletion_up() {
    let mut site = Site::settled(&["a", "b"], web_spec("web", 2));
    site.gone("a", OfflineCause::Silent);
    delete(&mut site);
    site.look();
    site.agents();
    site.look();
    assert_eq!(site.row().status, ServiceStatus::Deleted);
    assert_eq!(site.tasks().len(), 0);
}

#[test]
fn pending_and_failed_tasks_do_not_hold_a_deletion_up() {
    let mut site = Site::settled(&["a"], web_spec("web", 1));
    site.fail(1, FailureKind::Exited);
    site.drain("a");
    site.look();
    delete(&mut site);
    let plan = site.look();
    assert_plan!(
        plan,
        "
        forget web/1
        forget web/1
        web is deleted
    "
    );
}

#[test]
fn a_large_service_is_taken_down_in_bounded_plans() {
    let nodes: Vec<String> = (0..80).map(|i| format!("n{i:02}")).collect();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut site = Site::new(&nodes, web_spec("web", 2_500));
    for _ in 0..5 {
        site.look_once();
    }
    assert_eq!(site.tasks().len(), 2_500);
    delete(&mut site);
    site.look_once();
    site.agents();
    let plan = site.look_once();
    assert_eq!(plan.transaction.changes.len(), 2_000);
    assert_eq!(plan.look_again, Some(site.world.now));
    assert_eq!(site.row().status, ServiceStatus::Deleting);
    site.look_once();
    assert_eq!(site.row().status, ServiceStatus::Deleted);
    assert_eq!(site.tasks().len(), 0);
}
