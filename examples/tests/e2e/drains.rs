//! Nodes that are emptied and nodes that are thrown out.

use std::collections::BTreeSet;

use crate::engine;
use crate::poll::until;
use crate::site::Site;

#[test]
fn a_drained_node_loses_a_container_only_after_its_replacement_runs_and_a_revoked_one_loses_all_engine() {
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let site = Site::start(&["a", "b"]);
    site.deploy(3, "");
    let id = |name: &str| site.node(name)["id"].as_str().unwrap().to_owned();
    let (a, b) = (id("a"), id("b"));
    let before = site.running();
    let on_a: BTreeSet<&str> = before
        .values()
        .filter(|container| container.node == a)
        .map(|container| container.id.as_str())
        .collect();
    assert!(!on_a.is_empty() && on_a.len() < 3, "spread over both: {before:?}");

    let drained = site.orch(&["node", "drain", "a", "--wait", "--timeout", "60s"]);
    assert_eq!(drained.code, 0, "{drained:?}");
    let after = site.running();
    assert_eq!(after.len(), 3);
    assert!(after.values().all(|container| container.node == b), "{after:?}");
    let kept = before.values().filter(|container| container.node == b);
    kept.for_each(|container| {
        assert!(after.contains_key(&container.id), "nobody asked to move {container:?}")
    });
    let mut count = 0_u32;
    let mut started = 0;
    for (action, id) in engine::history(&site.cluster, began.try_into().unwrap()) {
        match action.as_str() {
            "start" => (count, started) = (count + 1, started + 1),
            _ => {
                assert!(on_a.contains(id.as_str()), "{id} died on the other node");
                assert!(count > 3, "{id} went before its replacement ran");
                count -= 1;
            }
        }
    }
    assert_eq!((started, count), (3 + on_a.len(), 3));
    site.healthy(3);

    site.ok(&["node", "uncordon", "a"]);
    assert_eq!(site.node("a")["status"], "ready");
    site.ok(&["node", "revoke", "b"]);
    until("all replicas run on the other node", || {
        let now = site.running();
        (now.len() == 3 && now.values().all(|container| container.node == a)).then_some(())
    });
    site.healthy(3);
    assert_eq!(site.node("b")["status"], "revoked");
    assert!(!site.is_ready("b"));
}
