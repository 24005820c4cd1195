//! The layers of the workspace, read from what cargo itself says: dependencies point one way.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .map(|package| {
            let normal =
                package["dependencies"].as_array().expect("a list").iter().filter(|d| d["kind"].is_null());
            (text(&package["name"]), normal.map(|dependency| text(&dependency["name"])).collect())
        })
        .collect()
}

fn ours(names: &BTreeSet<String>) -> BTreeSet<&str> {
    names.iter().map(String::as_str).filter(|name| name.starts_with("orch-")).collect()
}

#[test]
fn the_core_knows_no_crate_of_the_workspace_and_no_io_library() {
    let core = &dependencies()["orch-core"];
    assert_eq!(ours(core), BTreeSet::new());
    for io in ["axum", "hyper", "sea-orm", "docker-api", "rustls", "tokio-rustls", "clap", "jsonwebtoken"] {
        assert!(!core.contains(io), "orch-core depends on {io}");
    }
}

#[test]
fn backends_know_only_the_core() {
    let all = dependencies();
    for backend in ["orch-auth", "orch-store", "orch-runtime"] {
        assert_eq!(ours(&all[backend]), BTreeSet::from(["orch-core"]), "{backend}");
    }
    let client = ours(&all["orch-client"]);
    assert!(client.is_subset(&BTreeSet::from(["orch-core", "orch-auth"])), "{client:?}");
}

#[test]
fn the_daemons_are_known_only_by_each_other_benches_and_examples() {
    for (name, dependencies) in dependencies() {
        let known = ours(&dependencies);
        match name.as_str() {
            "orch-server" | "orch-sim" | "orch-bench" | "orch-examples" => {}
            other => {
                assert!(!known.contains("orch-server"), "{other} depends on orch-server");
                assert!(!known.contains("orch-agent"), "{other} depends on orch-agent");
            }
        }
    }
}

#[test]
fn one_crate_alone_names_the_docker_client() {
    for (name, dependencies) in dependencies() {
        assert_eq!(dependencies.contains("docker-api"), name == "orch-runtime", "{name}");
    }
}
