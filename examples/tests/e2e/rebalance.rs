//! Replicas that move to a node that joined.

use std::collections::BTreeMap;

use crate::engine;
use crate::site::Site;

#[test]
fn replicas_move_to_a_node_that_joined_each_once_its_replacement_serves_and_no_more_than_is_worth_it_engine()
{
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut site = Site::start(&["a"]);
    site.deploy(4, "");
    let before = site.running();
    site.start_agent("b");
    site.wait_for_agent("b");
    let planned = site.ok(&["rebalance", "--plan"]);
    assert_eq!(planned.lines().filter(|line| line.starts_with("web.")).count(), 2, "{planned}");
    assert_eq!(site.running().into_keys().collect::<Vec<_>>(), before.keys().cloned().collect::<Vec<_>>());

    let applied = site.orch(&["rebalance", "--apply", "--at-most", "1", "--timeout", "90s"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(applied.out, "balanced; 2 replicas moved\n", "{applied:?}");
    site.healthy(4);
    let after = site.running();
    let mut by_node: BTreeMap<&str, u32> = BTreeMap::new();
    after.values().for_each(|container| *by_node.entry(&container.node).or_default() += 1);
    assert_eq!(by_node.values().copied().collect::<Vec<_>>(), [2, 2], "{after:?}");
    assert_eq!(after.keys().filter(|id| before.contains_key(*id)).count(), 2, "two were left alone");

    let (mut running, mut started) = (0_u32, 0_u32);
    for (action, id) in engine::history(&site.cluster, began.try_into().unwrap()) {
        if action == "start" {
            (running, started) = (running + 1, started + 1);
            assert!(running <= 5, "more than one replica was on its way");
        } else {
            assert!(before.contains_key(&id), "{id} had moved already");
            assert!(running > 4, "{id} went before its replacement ran");
            running -= 1;
        }
    }
    assert_eq!((started, running), (6, 4));

    let again = site.orch(&["rebalance", "--apply"]);
    assert_eq!((again.code, after.len()), (0, site.running().len()), "{again:?}");
    assert!(site.running().keys().eq(after.keys()), "a second one moves nothing");
}
