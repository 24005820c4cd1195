//! What a spec promises of a container's life, on the real engine: health by a command, restarts, the order of a stop.

use std::net::TcpStream;

use serde_json::Value;

use crate::engine;
use crate::http;
use crate::poll::until;
use crate::site::{Site, port_of};

/// Deploys a file of these lines, which name the service `web`, and does not wait.
fn deploy(site: &Site, lines: &str) {
    let path = site.path("specs.yaml");
    std::fs::write(&path, format!("name: web\nimage: {}:1\n{lines}\n", site.image)).unwrap();
    site.ok(&["deploy", path.to_str().unwrap()]);
}

/// The service's tasks, ended ones too.
fn all_tasks(site: &Site) -> Vec<Value> {
    site.json(&["service", "ps", "web", "--all"])["tasks"].as_array().unwrap().clone()
}

/// Asks a container for a change; answers the status.
fn post(port: u16, target: &str) -> u16 {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    http::exchange(stream, "POST", target).unwrap().0
}

fn ended(site: &Site, status: &str) -> Value {
    until(&format!("the task is {status}"), || {
        all_tasks(site).into_iter().find(|task| task["actual_status"] == status)
    })
}

#[test]
fn health_is_what_a_command_inside_the_container_says_on_the_engine() {
    let site = Site::start(&["a"]);
    deploy(
        &site,
        "ports: [{container: 8080}]\nhealthcheck: {type: exec, command: [/web, check], interval: 5s, unhealthyThreshold: 1}",
    );
    let task = site.healthy(1).remove(0);
    assert_eq!(post(port_of(&task), "/health?ok=false"), 200);
    let events = until("it is said to be unhealthy", || {
        let events = site.json(&["events", "--task", task["id"].as_str().unwrap()]);
        let found = events["events"]
            .as_array()
            .unwrap()
            .iter()
            .find(|event| event["type"] == "task.health.unhealthy");
        found.map(|event| event["message"].as_str().unwrap().to_owned())
    });
    assert!(events.contains("`/web check`: exit code 1: not healthy"), "{events}");
    // It is given up, and another one takes its place.
    let id = task["id"].clone();
    until("another task serves", || {
        site.tasks().iter().any(|task| task["id"] != id && task["actual_status"] == "healthy").then_some(())
    });
}

#[test]
fn a_task_that_did_its_work_is_not_run_again_by_the_engine_or_orch() {
    let site = Site::start(&["a"]);
    deploy(&site, "command: [exit, 0]\nrestart: {policy: on_failure}");
    let task = ended(&site, "stopped");
    assert_eq!(task["exit_code"], 0, "{task}");
    assert_eq!(all_tasks(&site).len(), 1);
    assert_eq!(engine::all(&site.cluster).len(), 1, "one container, which is kept for its logs");
}

#[test]
fn a_task_that_is_never_restarted_fails_with_its_exit_on_the_engine() {
    let site = Site::start(&["a"]);
    let facts = site.node("a")["facts"].clone();
    assert_eq!(facts["node.engine"], "docker", "{facts}");
    let rules =
        "[{key: node.engine_version, operator: exists}, {key: node.os, operator: in, values: [linux]}]";
    let placement =
        format!("placement: {{strategy: binpack, labels: {{node.engine: docker}}, constraints: {rules}}}");
    deploy(&site, &format!("command: [exit, 3]\nrestart: {{policy: never}}\n{placement}"));
    let task = ended(&site, "failed");
    assert_eq!(task["exit_code"], 3, "{task}");
    assert_eq!(task["failure_reason"], "exit 3");
    assert_eq!((all_tasks(&site).len(), task["restart_count"].clone()), (1, 0.into()));
}

#[test]
fn a_task_is_given_up_after_its_attempts_on_the_engine_and_why_is_said() {
    let site = Site::start(&["a"]);
    let backoff = "backoff: {initial: 100ms, max: 100ms, resetAfter: 60s}";
    deploy(&site, &format!("command: [exit, 3]\nrestart: {{policy: on_failure, maxAttempts: 3, {backoff}}}"));
    let task = ended(&site, "failed");
    assert_eq!(task["failure_reason"], "exit 3; gave up after 3 attempts in a row", "{task}");
    assert_eq!((task["restart_count"].clone(), task["exit_code"].clone()), (2.into(), 3.into()));
    let events = site.json(&["events", "--task", task["id"].as_str().unwrap()]);
    let failed = events["events"].as_array().unwrap().iter().filter(|event| event["type"] == "task.failed");
    assert_eq!(failed.count(), 3, "{events}");
}

#[test]
fn a_stop_is_out_of_discovery_then_delay_then_signal_then_grace_then_kill_on_the_engine() {
    let site = Site::start(&["a"]);
    // It serves for a minute after the signal, which is longer than its grace.
    deploy(
        &site,
        "ports: [{container: 8080}]\nenv: {DRAIN_MS: 60000}\nhealthcheck: {type: http, path: /health, interval: 300ms}\n\
         drainDelay: 2s\nstopGrace: 1s\nstopSignal: SIGTERM",
    );
    let task = site.healthy(1).remove(0);
    let port = port_of(&task);
    let endpoints = || {
        let listed = site.json(&["endpoints", "web"]);
        listed["endpoints"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(endpoints(), 1);
    site.ok(&["scale", "web", "--replicas", "0"]);
    assert_eq!(endpoints(), 0, "out of discovery once the command is answered");
    assert_eq!(http::get(port, "/health").unwrap().0, 200, "and serving on, unsignalled");
    until("its container is gone", || engine::all(&site.cluster).is_empty().then_some(()));
    until("that is known", || {
        all_tasks(&site).iter().all(|task| task["actual_status"] == "removed").then_some(())
    });

    let events = site.json(&["events", "--task", task["id"].as_str().unwrap()]);
    let newest_first = events["events"].as_array().unwrap().iter();
    let steps: Vec<String> = newest_first
        .rev()
        .map(|event| format!("{}: {}", event["type"].as_str().unwrap(), event["message"].as_str().unwrap()))
        .skip_while(|step| !step.starts_with("reconciler.task.stopped"))
        .collect();
    assert_eq!(
        steps.iter().skip(1).map(String::as_str).collect::<Vec<_>>(),
        [
            "task.stopping: web.1 stops: out of discovery; SIGTERM in 2.0 s",
            "task.stopping: web.1 stops: SIGTERM is sent; killed if it runs 1.0 s later",
            "task.status: web.1 is removed: exit 137 (SIGKILL), stopped by orch",
        ],
        "{steps:#?}"
    );
}

#[test]
fn what_a_deploy_file_asks_for_reaches_the_container_and_its_volume_outlives_the_service_on_the_engine() {
    let site = Site::start(&["a"]);
    site.deploy(
        1,
        "mounts: [{type: volume, source: data, target: /data}, {type: tmpfs, target: /tmp, size: 1Mi}]\n\
         pidsLimit: 64\nulimits: {nofile: 512}\nhostname: front\nextraHosts: {db: 10.1.2.3}\nlabels: {team: shop}\n\
         securityContext: {readOnlyRootFilesystem: true}",
    );
    let container = site.running().into_values().next().unwrap();
    let (host, config) = (&container.whole["HostConfig"], &container.whole["Config"]);
    assert_eq!((&host["PidsLimit"], &config["Hostname"]), (&64.into(), &"front".into()));
    assert_eq!(host["ExtraHosts"][0], "db:10.1.2.3");
    assert_eq!(config["Labels"]["team"], "shop");
    let port = port_of(&site.tasks()[0]);
    assert_eq!(post(port, "/file?path=/data/x&text=kept"), 200);
    assert_eq!(post(port, "/file?path=/tmp/x&text=fleeting"), 200);
    assert_eq!(post(port, "/file?path=/x&text=refused"), 503);

    let gone = || engine::all(&site.cluster).is_empty().then_some(());
    site.ok(&["delete", "web"]);
    until("every container is gone", gone);
    site.deploy(1, "mounts: [{type: volume, source: data, target: /data, readOnly: true}]");
    let port = port_of(&site.tasks()[0]);
    assert_eq!(http::get(port, "/file?path=/data/x").unwrap(), (200, "kept".to_owned()));
    site.ok(&["delete", "web"]);
    until("every container is gone again", gone);
    let volume = format!("orch.{}.default.data", site.cluster);
    assert_eq!(engine::remove_volume(&volume), 204, "it is still there, until someone removes it by hand");
}
