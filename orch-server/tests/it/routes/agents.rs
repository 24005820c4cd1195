use std::time::Duration;

use crate::world::World;

#[tokio::test]
async fn a_poll_is_answered_when_something_changes_and_ends_when_the_server_does() {
    let world = World::start().await;
    let (node, credential) = world.register("node-a").await;
    let at_once = format!("/v1/agent/desired?node_id={node}");
    let now =
        world.send("GET", &at_once, Some(&credential), &[("x-orch-sequence", "1")], "").await.expect(200);
    let (cluster, revision) = (now["version"]["cluster"].as_str().unwrap(), &now["version"]["revision"]);
    let waiting = format!("{at_once}&cluster={cluster}&revision={revision}&wait=50");
    let poll = world.send("GET", &waiting, Some(&credential), &[("x-orch-sequence", "2")], "");
    let create = world.create("web");
    let both = async { tokio::join!(poll, create).0 };
    let changed = tokio::time::timeout(Duration::from_secs(20), both).await.expect("the change is told");
    assert_eq!(changed.expect(200)["tasks"].as_array().unwrap().len(), 1);
    world.stop().await;
}
