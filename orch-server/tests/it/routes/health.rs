use orch_core::identity::Role;

use crate::world::World;

#[tokio::test]
async fn it_says_that_it_is_alive_ready_and_which_version() {
    let world = World::start().await;
    assert_eq!(world.send("GET", "/healthz", None, &[], "").await.expect(200)["status"], "ok");
    assert_eq!(world.send("GET", "/readyz", None, &[], "").await.expect(200)["status"], "ready");
    let version = world.get("/v1/version").await.expect(200);
    assert_eq!(
        (version["api_version"].as_str(), version["minimum_agent_version"].as_str()),
        (Some("v1"), Some("0.2.0"))
    );
    let me = world.send("GET", "/v1/whoami", Some(&world.token(Role::Operator)), &[], "").await.expect(200);
    assert_eq!((me["subject"].as_str(), me["role"].as_str()), (Some("alice"), Some("operator")));
    world.stop().await;
}
