//! What tasks use, through the whole relay: route, ticket, agent, runtime, and back.

use std::sync::Arc;

use orch_agent::AgentConfig;
use orch_core::env::SystemEnv;
use orch_core::node::Resources;
use orch_core::runtime::ContainerRuntime;
use orch_core::testing::FakeRuntime;
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use orch_server::local::LocalCluster;
use serde_json::{Value, json};

use crate::world::Http;

async fn cluster(runtime: Arc<dyn ContainerRuntime>) -> (LocalCluster, Http) {
    let node = AgentConfig::new("here".parse().unwrap(), "127.0.0.1", Resources::new(64_000, 64 << 30));
    let cluster = LocalCluster::builder().node(node, runtime).start().await.unwrap();
    let http = Http::new(&cluster.url());
    (cluster, http)
}

async fn get(http: &Http, path: &str) -> Value {
    http.send("GET", path, None, &[], "").await.expect(200)
}

/// Creates the service, waits until its tasks run, and answers its id.
async fn running(http: &Http, spec: Value) -> String {
    let replicas = spec["replicas"].as_u64().unwrap();
    let answer = http.send("POST", "/v1/services", None, &[], json!({ "spec": spec }).to_string()).await;
    let id = answer.expect(201)["service"]["id"].as_str().unwrap().to_owned();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let tasks = get(http, &format!("/v1/tasks?service_id={id}&status=running")).await;
        if tasks["tasks"].as_array().map_or(0, Vec::len) as u64 == replicas {
            return id;
        }
        assert!(tokio::time::Instant::now() < deadline, "{tasks}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_replica_is_measured_under_one_ticket_a_node() {
    let (cluster, http) = cluster(Arc::new(FakeRuntime::new(SystemEnv::shared()))).await;
    // More than a node may have tickets.
    let id = running(&http, json!({ "name": "web", "image": "web:1", "replicas": 70 })).await;
    let other = running(&http, json!({ "name": "api", "image": "web:1", "replicas": 1 })).await;
    let answer = get(&http, &format!("/v1/stats?service_id={id}")).await;
    let stats = answer["stats"].as_array().unwrap();
    assert_eq!(stats.len(), 70);
    for (at, task) in stats.iter().enumerate() {
        assert_eq!(
            (&task["slot"], &task["service"], &task["node"]),
            (&json!(at + 1), &json!("web"), &json!("here"))
        );
        let cpu = task["usage"]["cpu_millis"].as_u64().unwrap_or_else(|| panic!("{task}"));
        assert!((450..=550).contains(&cpu), "half a core: {task}");
        assert_eq!(task["usage"]["memory_bytes"], 1 << 20);
        assert_eq!(task["usage"]["pids"], Value::Null, "what is not known is not zero");
    }
    let all = get(&http, "/v1/stats").await;
    assert_eq!(all["stats"].as_array().unwrap().len(), 71);
    assert_eq!(all["stats"][0]["service_id"], json!(other), "by the name of the service");
    let nobody = "00000000-0000-4000-8000-000000000000";
    for (path, status) in [
        (format!("/v1/stats?service_id={nobody}"), 404),
        (format!("/v1/stats?task_id={nobody}"), 404),
        ("/v1/stats?task_id=x".to_owned(), 400),
    ] {
        assert_eq!(http.send("GET", &path, None, &[], "").await.status.as_u16(), status, "{path}");
    }
    cluster.remove().await.unwrap();
}

#[tokio::test]
async fn a_runtime_that_cannot_measure_says_so_of_each_task() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = ProcessRuntime::new(ProcessConfig { state_dir: folder.path().to_owned() }).unwrap();
    let (cluster, http) = cluster(Arc::new(runtime)).await;
    let spec =
        json!({ "name": "sleeper", "image": "process/sleep", "replicas": 1, "command": ["sleep", "1000"] });
    running(&http, spec).await;
    let answer = get(&http, "/v1/stats").await;
    assert_eq!(answer["stats"][0]["usage"], Value::Null);
    let problem = answer["stats"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("cannot measure"), "{problem}");
    cluster.remove().await.unwrap();
}
