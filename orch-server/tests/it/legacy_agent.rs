//! An agent of the existing implementation: no key, no sequence numbers, plain polls, one status at a time.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_legacy_agent_registers_heartbeats_polls_and_reports() {
    let world = World::start().await;
    let (node, first) = world.register("old-node").await;
    let service = world.create("web").await;

    let heartbeat = json!({
        "node_id": node, "capacity": {"cpu": 4000, "memory": 8_u64 << 30},
        "allocatable": {"cpu": 4000, "memory": 8_u64 << 30}, "labels": null, "agent_version": "0.3.0",
    });
    let answer = world.send("POST", "/v1/agent/heartbeat", Some(&first), &[], heartbeat.to_string()).await;
    let answer = answer.expect(200);
    assert_eq!(answer["status"], "ready");
    let credential = answer["credential"]["token"].as_str().unwrap().to_owned();
    assert_ne!(credential, first);

    let task = poll_until_there(&world, &node, &credential).await;
    assert_eq!(task["task"]["service_id"], service.as_str());
    assert_eq!(task["task"]["image"], "web:1");
    let id = task["task"]["id"].as_str().unwrap();

    for status in ["pulling", "created", "running"] {
        let report = json!({"node_id": node, "status": status, "container_id": "c1"});
        let path = format!("/v1/agent/tasks/{id}/status");
        let answer = world.send("POST", &path, Some(&credential), &[], report.to_string()).await.expect(200);
        assert_eq!(answer["task"]["actual_status"], status);
    }
    // Words that no agent may use, and tasks that are not the node's, are refused and change nothing.
    let assigned = json!({"node_id": node, "status": "assigned"}).to_string();
    let running = json!({"node_id": node, "status": "running"}).to_string();
    for (id, report) in [(id, assigned), ("00000000-0000-4000-8000-000000000000", running)] {
        let path = format!("/v1/agent/tasks/{id}/status");
        let answer = world.send("POST", &path, Some(&credential), &[], report).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"));
    }
    world.stop().await;
}

/// Polls as such agents do, until the scheduler has placed the task.
async fn poll_until_there(world: &World, node: &str, credential: &str) -> Value {
    let poll = async {
        loop {
            let path = format!("/v1/agent/tasks?node_id={node}");
            let answer = world.send("GET", &path, Some(credential), &[], "").await.expect(200);
            if let Some(task) = answer["tasks"].as_array().and_then(|tasks| tasks.first()) {
                return task.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), poll).await.expect("the task is placed")
}
