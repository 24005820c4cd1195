//! The same on plain processes, for one who asks for them by name.

use std::path::Path;

use orch_core::runtime::{ContainerRuntime as _, Owner};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use serde_json::Value;

use crate::http;
use crate::poll::until;
use crate::site::{Site, port_of};

#[test]
fn the_same_deploy_runs_as_processes_where_an_agent_is_told_so_engine() {
    let mut site = Site::on("process", &["a"]);
    let server = demo_server();
    site.deploy(2, &format!("command: [\"{server}\"]\nenv: {{VERSION: plain}}"));
    let tasks = site.tasks();
    let ports: Vec<u16> = tasks.iter().map(port_of).collect();
    for port in &ports {
        assert!(http::get(*port, "/").unwrap().1.starts_with("version plain"));
    }
    assert!(site.running().is_empty(), "no container was made");
    assert!(site.ok(&["logs", "web"]).contains("version plain listens on"));

    // Killed or not, the agent takes nothing with it.
    site.kill_agent("a");
    assert!(ports.iter().all(|port| http::get(*port, "/health").is_ok()));
    site.start_agent("a");
    site.wait_for_agent("a");
    assert!(site.healthy(2).iter().all(|task| task["attempt"] == 1));

    site.ok(&["delete", "web"]);
    until("every process is gone", || ports.iter().all(|port| http::get(*port, "/").is_err()).then_some(()));
}

/// Removes the processes that an agent has records of in `folder`. Nothing is left to do after a test that went well.
pub(crate) fn clear(folder: &Path) {
    let records = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let owners: Vec<Owner> = records
        .filter_map(|record| std::fs::read(record.path().join("container.json")).ok())
        .filter_map(|json| serde_json::from_slice::<Value>(&json).ok())
        .filter_map(|record| {
            let id = |name: &str| record["labels"][name].as_str();
            Some(Owner { cluster: id("cluster")?.parse().ok()?, node: id("node")?.parse().ok()? })
        })
        .collect();
    if owners.is_empty() {
        return;
    }
    tokio().block_on(async {
        let runtime = ProcessRuntime::new(ProcessConfig { state_dir: folder.to_owned() }).expect("a folder");
        for owner in owners {
            for container in runtime.list(&owner).await.unwrap_or_default() {
                let _ = runtime.remove(&container.id).await;
            }
        }
    });
}

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio")
}

fn demo_server() -> String {
    let tokio = tokio();
    let path = tokio.block_on(orch_runtime::testing::build_demo_server()).unwrap();
    path.to_str().unwrap().to_owned()
}
