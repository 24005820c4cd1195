//! From a deploy file to healthy containers and back, by the commands that a user types.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::engine;
use crate::http;
use crate::poll::until;
use crate::site::{Site, port_of};

/// What every replica of the service says of its version.
fn versions(site: &Site) -> Vec<String> {
    let tasks = site.tasks();
    tasks.iter().map(|task| http::get(port_of(task), "/").unwrap().1[..9].to_owned()).collect()
}

#[test]
fn a_service_is_deployed_scaled_rolled_out_rolled_back_and_deleted_on_the_engine() {
    let site = Site::start(&["a"]);
    let file = site.deploy_file(2, "");
    let deployed = site.orch(&["deploy", file.to_str().unwrap(), "--wait", "--timeout", "60s"]);
    assert_eq!(deployed.code, 0, "{deployed:?}");
    assert!(deployed.out.contains("web: created, version 1"), "{deployed:?}");
    assert!(deployed.err.contains("2 of 2 replicas serve"), "{deployed:?}");
    assert_eq!(site.running().len(), 2);
    assert_eq!(versions(&site), ["version 1"; 2]);

    let ps = site.ok(&["service", "ps", "web"]);
    assert_eq!(ps.matches("healthy").count(), 2, "{ps}");
    let who = site.json(&["whoami"]);
    assert_eq!((&who["subject"], &who["cluster_role"]), (&"e2e".into(), &"admin".into()), "{who}");
    assert!(site.ok(&["whoami"]).contains("admin"));
    let again = site.ok(&["deploy", file.to_str().unwrap(), "--wait"]);
    assert!(again.contains("unchanged"), "{again}");
    let logs = site.ok(&["logs", "web", "--tail", "5"]);
    assert_eq!(logs.matches("version 1 listens on").count(), 2, "{logs}");
    let events = site.json(&["events", "--service", "web"]);
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"service.created"), "{kinds:?}");

    site.ok(&["scale", "web", "--replicas", "3", "--wait", "--timeout", "60s"]);
    assert_eq!(site.running().len(), 3);
    let second = format!("{}:2", site.image);
    site.ok(&["rollout", "web", "--image", &second, "--wait", "--timeout", "60s"]);
    assert_eq!(versions(&site), ["version 2"; 3]);
    assert_eq!(site.json(&["rollout", "status", "web"])["deployment"]["status"], "succeeded");
    site.ok(&["rollback", "web", "--wait", "--timeout", "60s"]);
    assert_eq!(versions(&site), ["version 1"; 3]);

    site.ok(&["delete", "web"]);
    until("every container is gone", || engine::all(&site.cluster).is_empty().then_some(()));
    until("the service is gone", || {
        site.json(&["service", "ls"])["services"].as_array().unwrap().is_empty().then_some(())
    });
}

#[test]
fn logs_are_followed_through_the_agent_from_the_engine_until_the_reader_goes() {
    let site = Site::start(&["a"]);
    site.deploy(1, "restart: {policy: always}");
    let mut follow = site.command(&["logs", "web", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let first = lines.find(|line| line.as_ref().unwrap().contains("version 1 listens on"));
    assert!(first.is_some(), "the stream ended before the line came");
    follow.kill().unwrap();
    follow.wait().unwrap();
    assert_eq!(site.running().len(), 1);
    for said in [site.server_log(), site.agent_log("a")] {
        assert!(!said.contains("version 1 listens on"), "what containers say is not ours to write down");
    }
}

#[test]
fn a_replica_that_fits_nowhere_is_told_with_the_reason_by_an_exit_status_of_its_own_engine() {
    let site = Site::start(&["a"]);
    let file = site.deploy_file(1, "resources: {memory: 900Gi}");
    let ran = site.orch(&["deploy", file.to_str().unwrap(), "--wait", "--patience", "1s"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("memory"), "{ran:?}");
    assert!(engine::all(&site.cluster).is_empty());
}
