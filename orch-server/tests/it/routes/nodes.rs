use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_drain_has_a_deadline_if_asked_and_its_status_says_so() {
    let world = World::start().await;
    let (node, _) = world.register("node-a").await;
    let drain = |query: &str| format!("/v1/nodes/{node}/drain{query}");
    world.post(&drain("?deadline_seconds=600"), &json!({})).await.expect(200);
    let status = world.get(&format!("/v1/nodes/{node}/drain-status")).await.expect(200);
    assert!(status["drain_status"]["deadline"].is_string(), "{status}");
    world.post(&drain(""), &json!({})).await.expect(200);
    let same = world.get(&format!("/v1/nodes/{node}/drain-status")).await.expect(200);
    assert_eq!(same["drain_status"]["deadline"], status["drain_status"]["deadline"]);
    for wrong in ["?deadline_seconds=soon", "?deadline_seconds=99999999999"] {
        let refused = world.post(&drain(wrong), &json!({})).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_argument"), "{wrong}");
    }
    world.post(&format!("/v1/nodes/{node}/uncordon"), &json!({})).await.expect(200);
    let ended = world.get(&format!("/v1/nodes/{node}/drain-status")).await.expect(200);
    assert_eq!(ended["drain_status"].get("deadline"), None);
    world.stop().await;
}

#[tokio::test]
async fn a_rebalance_is_planned_by_whoever_may_and_its_bounds_are_told() {
    let world = World::start().await;
    let answer = world.post("/v1/rebalance", &json!({})).await.expect(200);
    assert_eq!((&answer["moves"], &answer["under_way"]), (&json!([]), &json!(0)));
    world.post("/v1/rebalance", &json!({"apply": true, "at_most": 100})).await.expect(200);
    for wrong in [json!({"at_most": 0}), json!({"at_most": 101}), json!({"aply": true})] {
        let refused = world.post("/v1/rebalance", &wrong).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_argument"), "{wrong}");
    }
    world.stop().await;
}

#[tokio::test]
async fn only_a_node_that_is_offline_is_given_up() {
    let world = World::start().await;
    let (node, _) = world.register("node-a").await;
    let refused = world.post(&format!("/v1/nodes/{node}/give-up"), &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "invalid_argument"));
    assert!(refused.text.contains("only a node that is offline"), "{}", refused.text);
    world.stop().await;
}
