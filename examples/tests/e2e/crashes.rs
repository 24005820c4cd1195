//! Daemons that die: what runs goes on running.

use crate::engine;
use crate::poll::until;
use crate::site::Site;

#[test]
fn an_agent_that_was_killed_leaves_its_containers_and_the_next_adopts_them_on_the_engine() {
    let mut site = Site::start(&["a"]);
    site.deploy(2, "");
    let before = site.starts();
    let incarnation = site.node("a")["incarnation"].as_u64().unwrap();
    site.kill_agent("a");
    assert_eq!(site.starts(), before);
    site.start_agent("a");
    site.wait_for_agent("a");
    let tasks = site.healthy(2);
    assert_eq!(site.node("a")["incarnation"], incarnation + 1);
    assert!(tasks.iter().all(|task| task["attempt"] == 1), "{tasks:?}");
    // What the new agent decides about them it has decided once it carried out something that came later.
    site.ok(&["scale", "web", "--replicas", "3", "--wait", "--timeout", "60s"]);
    let after = site.starts();
    assert!(before.iter().all(|(id, started)| after.get(id) == Some(started)), "{before:?} {after:?}");
    assert_eq!(after.len(), 3);
}

#[test]
fn a_server_that_was_killed_loses_nothing_and_meanwhile_the_agent_restarts_what_dies_on_the_engine() {
    let mut site = Site::start(&["a"]);
    site.deploy(3, "restart: {policy: always}");
    let before = site.running();
    let service = site.json(&["service", "inspect", "web"])["service"].clone();
    site.kill_server();
    let victim = before.values().next().unwrap();
    engine::kill(&victim.id);
    let next = until("the agent restarts it by itself", || {
        let now = site.running();
        now.into_values().find(|container| container.task == victim.task && container.attempt == 2)
    });
    site.start_server();
    let reported = |attempt: u64| {
        site.tasks().into_iter().find(|task| {
            task["id"] == *victim.task && task["attempt"] == attempt && task["actual_status"] == "healthy"
        })
    };
    let task = until("the server learns of it", || reported(2));
    assert_eq!((&task["container_id"], &task["restart_count"]), (&next.id.as_str().into(), &1.into()));
    site.healthy(3);
    assert_eq!(site.json(&["service", "inspect", "web"])["service"], service);
    let after = site.running();
    assert_eq!(after.len(), 3);
    for (id, container) in before.iter().filter(|(id, _)| **id != victim.id) {
        assert_eq!(after.get(id).map(|now| &now.started), Some(&container.started));
    }
}

/// M38: what must not run twice stops by itself while its agent does not hear the server, and goes on once it does.
#[test]
fn a_task_that_may_not_run_without_the_server_stops_and_goes_on_with_it_on_the_engine() {
    let mut site = Site::start(&["a"]);
    site.deploy(1, "onDisconnect: {stopAfter: 10s}");
    let before = site.running().into_values().next().unwrap();
    assert_eq!(before.attempt, 1);
    site.kill_server();
    until("the agent stops it", || site.running().is_empty().then_some(()));
    site.start_server();
    let again = |tasks: Vec<serde_json::Value>| tasks.into_iter().find(|task| task["attempt"] == 2);
    let task = until("it runs again", || again(site.healthy(1)));
    assert_eq!(task["id"], before.task.as_str());
    assert_eq!(site.running().len(), 1);
}
