//! `orch-server --dev`: a whole cluster in one process, gone without a trace when it ends.

use std::path::Path;
use std::process::{Command, Output};

use crate::binaries::program;
use crate::daemon::{Daemon, inherited};
use crate::engine;
use crate::poll::until;
use crate::site::free_port;

/// A command against the server, without a token.
fn orch(url: &str, home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("orch"));
    command.args(["--server", url]).args(arguments).env_clear().envs(inherited()).env("HOME", home);
    command.output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_throw_away_cluster_deploys_at_once_says_what_to_try_and_takes_its_containers_along_engine() {
    let folder = tempfile::tempdir().unwrap();
    let image = format!("orch-dev/{}", std::process::id());
    engine::import(&image);
    let address = format!("127.0.0.1:{}", free_port());
    let log = folder.path().join("dev.log");
    let server = Daemon::start::<&str>("orch-server", &log, &[], &["--dev", "--addr", &address]);
    let url = format!("http://{address}");
    until("it says what to try", || server.log().contains("orch --server").then_some(()));
    assert!(server.log().contains(&format!("orch --server {url} deploy")), "{}", server.log());

    let spec = folder.path().join("web.yaml");
    std::fs::write(
        &spec,
        format!("name: web\nimage: {image}:1\nreplicas: 2\nports: [{{container: 8080}}]\n"),
    )
    .unwrap();
    let cluster =
        json(&orch(&url, folder.path(), &["version", "-o", "json"]))["server"]["cluster_id"].clone();
    let cluster = cluster.as_str().unwrap();
    let deployed =
        orch(&url, folder.path(), &["deploy", spec.to_str().unwrap(), "--wait", "--timeout", "60s"]);
    let running = engine::running(cluster).len();
    server.stop();
    let left = engine::all(cluster);
    engine::clear(Some(cluster), &image);
    assert!(deployed.status.success(), "{deployed:?}");
    assert_eq!(running, 2);
    assert_eq!(left, Vec::<String>::new());
    // Nothing but what this test wrote.
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "{files:?}");
}
