//! A secret reaches the container, and nothing else.

use crate::http;
use crate::poll::until;
use crate::site::{Site, port_of};

const VALUE: &str = "canary-7c1f9a-value-of-the-secret";

#[test]
fn a_secret_by_reference_is_a_file_on_memory_in_the_container_and_nowhere_else_engine() {
    let site = Site::start(&["a"]);
    let folder = site.path("server/secrets/default");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("db-password"), VALUE).unwrap();
    site.deploy(1, "secretRefs: [{name: db-password, file: /run/secrets/db}]");

    let task = site.tasks().remove(0);
    let read = |path: &str| http::get(port_of(&task), &format!("/file?path={path}")).unwrap();
    assert_eq!(read("/run/secrets/db"), (200, VALUE.to_owned()));
    let mounts = read("/proc/mounts").1;
    let mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/run/secrets/db")).unwrap();
    let words: Vec<&str> = mount.split(' ').collect();
    assert_eq!((words[2], &words[3][..2]), ("tmpfs", "ro"), "{mount}");

    let container = site.running().into_values().next().unwrap();
    let source = container.whole["Mounts"][0]["Source"].as_str().unwrap().to_owned();
    let everywhere = [
        ("inspect", container.whole.to_string()),
        ("events", site.json(&["events", "--limit", "500"]).to_string()),
        ("audit", site.json(&["audit"]).to_string()),
        ("service", site.json(&["service", "inspect", "web"]).to_string()),
        ("logs", site.ok(&["logs", "web"])),
        ("the server's log", site.server_log()),
        ("the agent's log", site.agent_log("a")),
        ("the agent's cache", std::fs::read_to_string(site.agent_folder("a").join("desired.json")).unwrap()),
        ("the database", String::from_utf8_lossy(&site.stored()).into_owned()),
    ];
    for (place, text) in &everywhere {
        assert!(!text.contains(VALUE), "the value is in {place}");
    }
    assert!(
        everywhere[8].1.contains("db-password"),
        "the database was not read: it has at least the reference"
    );

    site.ok(&["delete", "web"]);
    until("the file goes with the container", || (!std::path::Path::new(&source).exists()).then_some(()));
}
