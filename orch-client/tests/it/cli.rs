//! The command itself, as a process: what it prints, what it asks, and how it ends.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::server::{Asked, Reply, Server, dead_url, error};

const SERVICE: &str = "7b0c5d4e-0000-4000-8000-00000000000a";
const ROLLOUT: &str = "7b0c5d4e-0000-4000-8000-00000000000b";
const NODE: &str = "7b0c5d4e-0000-4000-8000-00000000000c";
/// A node may call itself anything that its agent's machine lets it.
const NODE_NAME: &str = "node-1\u{1b}[2J";
const TIME: &str = "2026-01-02T03:04:05Z";

/// Runs the command with nothing of this process's environment that it would read.
pub(super) async fn orch(args: &[&str], env: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orch"));
    command.args(args).env_clear().env("HOME", home.path()).stdin(Stdio::null());
    command.envs(env.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn service(version: u32) -> Value {
    json!({"id": SERVICE, "namespace": "default", "spec": {"name": "web", "image": "web:1", "replicas": 2},
        "status": "active", "deployment_version": version, "created_at": TIME, "updated_at": TIME})
}

fn task(slot: u32, version: u32, status: &str, node: Option<&str>) -> Value {
    let mut task = json!({"id": format!("7b0c5d4e-0000-4000-8000-0000000001{slot:02}"), "namespace": "default", "service_id": SERVICE,
        "slot": slot, "desired_status": "running", "actual_status": status, "image": "web:1", "version": version,
        "attempt": 1, "restart_count": 0, "created_at": TIME, "updated_at": TIME});
    match node {
        Some(node) => task["node_id"] = json!(node),
        None => task["note"] = json!("no node fits: 1 node, cpu: 1 too small"),
    }
    task
}

fn deployment(status: &str) -> Value {
    json!({"id": ROLLOUT, "namespace": "default", "service_id": SERVICE, "from_version": 1, "to_version": 2,
        "strategy": "rolling_update", "status": status, "max_unavailable": 0, "max_surge": 1, "reason": null,
        "created_at": TIME, "updated_at": TIME})
}

/// Something is wrong, in two links.
fn why(key: &str, id: &str) -> Value {
    json!({key: id, "held": [], "fine": false, "summary": format!("{key} is not well: it failed"),
        "causes": [{"about": "web.1", "text": "it failed", "since": TIME}, {"about": "web.1", "text": "waiting"}]})
}

fn plan() -> Value {
    json!({"service": service(2), "action": "change", "from_version": 1, "rollout": true, "handover": "start_first",
        "max_unavailable": 0, "max_surge": 1, "at_least_seconds": 5, "ending": "waits",
        "changes": [{"field": "template.image", "kind": "changed", "before": "\"web:0\"", "after": "\"web:1\""},
            {"field": "template.env.MODE", "kind": "added", "after": "\"fast\""}],
        "steps": [{"round": 1, "after_seconds": 0, "action": "start", "slot": 1, "node": "node-b"},
            {"round": 2, "after_seconds": 5, "action": "stop", "slot": 1, "node": "node-a", "note": "replaced by another version"}],
        "unplaced": [{"slot": 2, "reason": "2 nodes: 1 draining, 1 lacks cpu (needs 3000m, has 1000m)",
            "nodes": [{"node": "node-a", "reason": "draining"}, {"node": "node-b", "reason": "lacks cpu (needs 3000m, has 1000m)"}]}],
        "held": [{"slot": 2, "reason": "no node fits"}]})
}

const PLANNED: &str = "\
web: would be changed, version 1 → 2
  ~ template.image: \"web:0\" → \"web:1\"
  + template.env.MODE: \"fast\"
  rollout: each new replica serves before its old one stops; at most 1 more and 0 fewer than wanted meanwhile
         now  + web.1 on node-b
    after 5s  - web.1 on node-a: replaced by another version
  ! web.2 fits nowhere: 2 nodes: 1 draining, 1 lacks cpu (needs 3000m, has 1000m)
      node-a: draining
      node-b: lacks cpu (needs 3000m, has 1000m)
  it takes at least 5s
";

fn node() -> Value {
    let amount = json!({"cpu": 4000, "memory": 8_589_934_592_u64});
    json!({"id": NODE, "hostname": NODE_NAME, "advertise_address": "10.0.0.1", "capacity": amount, "allocatable": amount,
        "reserved": {"cpu": 250, "memory": 134_217_728}, "tasks": 2, "status": "ready", "cordoned": true,
        "last_heartbeat_at": TIME, "created_at": TIME, "updated_at": TIME})
}

/// A cluster with one service, whose rollout goes through `statuses`, a step a look; `tasks` are there all the time.
async fn cluster(statuses: &'static [&'static str], tasks: Vec<Value>) -> Server {
    let step = Arc::new(AtomicUsize::new(0));
    Server::start(move |asked, _| {
        let path = asked.path.split('?').next().unwrap();
        let rollout = || {
            let at = step.fetch_add(1, Ordering::SeqCst).min(statuses.len() - 1);
            let mut deployment = deployment(statuses[at]);
            if statuses[at] == "failed" {
                deployment["reason"] = json!("replica 1: exit 1");
            }
            json!({"deployment": deployment})
        };
        let answer = match (asked.method.as_str(), path.strip_prefix("/v1").unwrap()) {
            ("POST", "/apply") => {
                json!({"service": service(2), "deployment": deployment("pending"), "created": false,
                "changes": ["template.image: \"web:0\" → \"web:1\""]})
            }
            ("POST", "/plan") => plan(),
            ("GET", "/nodes") => json!({"nodes": [node()]}),
            ("GET", "/services") => json!({"services": [service(2)]}),
            ("GET", "/tasks") => json!({"tasks": tasks}),
            ("GET", path) if path == format!("/services/{SERVICE}/why") => why("service_id", SERVICE),
            ("GET", path) if path == format!("/nodes/{NODE}/why") => why("node_id", NODE),
            ("GET", path) if path.ends_with("/why") && path.starts_with("/tasks/") && path.contains("-0000000001") => {
                why("task_id", &path[7..43])
            }
            ("GET", path) if path.ends_with("/why") => return error(404, "not_found"),
            ("GET", "/events") => json!({"events": [{"id": NODE, "type": "task.failed", "severity": "warning",
                "source": "agent", "message": "web.1 failed", "timestamp": TIME}]}),
            ("GET", path) if path.starts_with("/rollouts/") => rollout(),
            ("GET", path) if path.ends_with("/history") => {
                let change = json!({"field": "template.image", "kind": "changed", "before": "\"web:0\"", "after": "\"web:1\""});
                json!({"service_id": SERVICE, "versions": [
                    {"version": 2, "current": true, "image": "web:1", "by": "ann", "created_at": TIME, "status": "succeeded", "changes": [change]},
                    {"version": 1, "image": "web:0", "created_at": TIME, "changes": []}]})
            }
            ("GET", path) if path.starts_with("/services/") => json!({"service": service(2)}),
            ("POST", path) if path.ends_with("/restart") => json!({"deployment": deployment("pending")}),
            ("POST", path) if path.ends_with("/rollout/pause") => {
                let mut paused = deployment("paused");
                paused["paused_at"] = json!(TIME);
                json!({"deployment": paused})
            }
            ("POST", path) if path.ends_with("/rollout/continue") => json!({"deployment": deployment("running")}),
            ("POST", path) if path.ends_with("/rollout/abort") => {
                let mut back = deployment("rolling_back");
                (back["from_version"], back["to_version"]) = (json!(2), json!(1));
                json!({"deployment": back})
            }
            ("POST", path) if path.ends_with("/scale") => json!({"service": service(2)}),
            ("GET", path) if path.ends_with("/drain-status") => {
                let left = 2_usize.saturating_sub(step.fetch_add(1, Ordering::SeqCst));
                json!({"drain_status": {"node_id": NODE, "node_status": "draining",
                    "phase": if left == 0 { "complete" } else { "pending" }, "total_tasks": 2, "remaining_tasks": left,
                    "replacement_tasks": 2, "replacement_ready": 2 - left, "message": ""}})
            }
            ("POST", path) if path.ends_with("/drain") => json!({"node": node()}),
            _ => return error(404, "not_found"),
        };
        Reply::Json(200, answer)
    })
    .await
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_says_how_to_name_one() {
    let ended = orch(&["service", "ls"], &[]).await;
    let told = stderr(&ended);
    assert_eq!(ended.status.code(), Some(64));
    for way in ["--server", "ORCH_SERVER_URL", "server_url"] {
        assert!(told.contains(way), "{told}");
    }
    let ended = orch(&["version"], &[]).await;
    assert_eq!(stdout(&ended), format!("orch {}\n", env!("CARGO_PKG_VERSION")));
    assert!(ended.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_a_server_that_is_away_end_differently() {
    let ended = orch(&["scale", "web"], &[]).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(stderr(&ended).contains("--replicas"));
    let url = dead_url().await;
    let ended = orch(&["node", "ls", "--server", &url], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains(&url), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_win_over_variables_and_those_over_the_file() {
    let server = Server::start(|_, _| Reply::Json(200, json!({"services": [], "tasks": []}))).await;
    let (_folder, path) =
        file(&format!("server_url: {}\ntoken: from-file\nnamespace: from-file\n", server.url));
    let path = path.to_str().unwrap();
    let seen = |asked: &Asked| {
        (
            asked.header("authorization").unwrap().to_owned(),
            asked.header("x-orch-namespace").unwrap().to_owned(),
        )
    };
    for (args, env) in [
        (vec!["service", "ls", "--config", path], vec![("ORCH_TOKEN", " "), ("ORCH_NAMESPACE", "")]),
        (
            vec!["service", "ls", "--config", path],
            vec![("ORCH_TOKEN", "from-env"), ("ORCH_NAMESPACE", "from-env")],
        ),
        (
            vec!["-n", "from-flag", "service", "ls", "--config", path, "--token", "from-flag"],
            vec![("ORCH_TOKEN", "from-env"), ("ORCH_NAMESPACE", "from-env")],
        ),
    ] {
        let ended = orch(&args, &env).await;
        assert!(ended.status.success(), "{}", stderr(&ended));
    }
    let asked: Vec<_> = server.asked().iter().filter(|a| a.path == "/v1/services").map(seen).collect();
    let expected =
        ["from-file", "from-env", "from-flag"].map(|from| (format!("Bearer {from}"), from.to_owned()));
    assert_eq!(asked, expected);

    let (_folder, wrong) = file("server: http://localhost\ntoken: hunter2\n");
    let ended = orch(&["service", "ls", "--config", wrong.to_str().unwrap()], &[]).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        stderr(&ended).contains("server_url") && !stderr(&ended).contains("hunter2"),
        "{}",
        stderr(&ended)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_needs_no_server_and_tells_every_place() {
    let (_folder, path) = file("name: web\nimage: web:1\n");
    let path = path.to_str().unwrap();
    let ended = orch(&["validate", path], &[]).await;
    assert_eq!(stdout(&ended), format!("{path}: service web: 1 × web:1\n"));
    let (_other, wrong) = file("name: web\nimage: web:1\nreplicas: many\nport: 1\n");
    let wrong = wrong.to_str().unwrap();
    let ended = orch(&["validate", path, wrong], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    let told = stderr(&ended);
    assert!(
        told.contains(&format!("{wrong}:3:11: replicas: ")) && told.contains(&format!("{wrong}:4:1: port: ")),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_says_what_changed_and_sends_the_spec_once() {
    let server = cluster(&["running"], vec![]).await;
    let (_folder, path) = file("name: web\nimage: web:1\nreplicas: 2\n");
    let ended = orch(&["deploy", path.to_str().unwrap()], &[("ORCH_SERVER_URL", &server.url)]).await;
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(stdout(&ended), format!("{PLANNED}web: changed, version 2\n"));
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().map(|asked| asked.path.as_str()).collect();
    assert_eq!(paths, ["/v1/plan", "/v1/apply"]);
    assert_eq!(asked[1].json()["spec"]["replicas"], 2);
    assert!(asked[1].header("idempotency-key").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_waits_tells_each_replica_and_ends_with_the_outcome() {
    let (_folder, path) = file("name: web\nimage: web:1\nreplicas: 2\n");
    let path = path.to_str().unwrap();
    let tasks = || vec![task(1, 2, "running", Some(NODE)), task(2, 2, "running", Some(NODE))];
    let server = cluster(&["running", "running", "succeeded"], tasks()).await;
    let ended = orch(&["deploy", path, "--wait", "--server", &server.url], &[]).await;
    let told = stderr(&ended);
    assert_eq!(ended.status.code(), Some(0), "{told}");
    assert!(told.contains("web.1: v2 running on node-1\\u{1b}[2J"), "{told}");
    assert!(told.contains("web: 2 of 2 replicas serve, version 2"), "{told}");
    assert_eq!(told.matches("web.1:").count(), 1, "a line is told when it changes: {told}");

    let server = cluster(&["running", "failed"], tasks()).await;
    let ended = orch(&["deploy", path, "--wait", "--server", &server.url], &[]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("version 2 failed: replica 1: exit 1"), "{}", stderr(&ended));

    let server = cluster(&["running"], tasks()).await;
    let ended = orch(&["deploy", path, "--wait", "--timeout", "300ms", "--server", &server.url], &[]).await;
    assert_eq!(ended.status.code(), Some(124));
    assert!(stderr(&ended).contains("orch rollout status web --wait"), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_fits_nowhere_ends_the_wait_with_two() {
    let tasks = vec![task(1, 2, "running", Some(NODE)), task(2, 2, "pending", None)];
    let server = cluster(&["running"], tasks).await;
    let args = ["scale", "web", "--replicas", "2", "--wait", "--patience", "200ms", "--server", &server.url];
    let ended = orch(&args, &[]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("no node fits: 1 node, cpu: 1 too small"), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_show_what_is_there_and_escape_what_is_hostile() {
    let server = cluster(&["running"], vec![task(1, 2, "running", Some(NODE))]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let nodes = stdout(&orch(&["node", "ls"], &env).await);
    assert!(!nodes.contains('\u{1b}'), "{nodes:?}");
    assert!(nodes.contains("node-1\\u{1b}[2J  ready, cordoned  2      250m / 4  128Mi / 8Gi"), "{nodes}");
    let services = stdout(&orch(&["service", "ls"], &env).await);
    assert!(services.starts_with("NAME  STATUS  READY  IMAGE  VERSION"), "{services}");
    assert!(services.contains("web   active  1/2    web:1  2"), "{services}");
    let json: Value =
        serde_json::from_str(&stdout(&orch(&["service", "ls", "-o", "json"], &env).await)).unwrap();
    assert_eq!(json["services"][0]["spec"]["name"], "web");
    let ps = stdout(&orch(&["service", "ps", "web"], &env).await);
    assert!(ps.lines().nth(1).unwrap().starts_with("1     2        node-1"), "{ps}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_ids_are_both_taken_and_unknown_ones_are_told() {
    let server = cluster(&["running"], vec![]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    for name in ["web", SERVICE] {
        let ended = orch(&["scale", name, "--replicas", "2"], &env).await;
        assert_eq!(stdout(&ended), "web: 2 → 2 replicas\n", "{}", stderr(&ended));
    }
    assert_eq!(
        server.asked().iter().filter(|a| a.path == format!("/v1/services/{SERVICE}/scale")).count(),
        2
    );
    let ended = orch(&["delete", "wob"], &env).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        stderr(&ended).contains("service `wob` does not exist in namespace `default`"),
        "{}",
        stderr(&ended)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_steered_with_a_reason_and_can_be_waited_for() {
    let server = cluster(&["running", "succeeded"], vec![task(1, 2, "running", Some(NODE))]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let ended = orch(&["rollout", "pause", "web", "--reason", "odd errors"], &env).await;
    assert_eq!(
        stdout(&ended),
        "web: the rollout of version 2 is paused; `orch rollout continue web` lets it go on\n",
        "{}",
        stderr(&ended)
    );
    let ended = orch(&["rollout", "continue", "web", "--wait"], &env).await;
    assert_eq!(stdout(&ended), "web: the rollout of version 2 goes on\n", "{}", stderr(&ended));
    assert_eq!(ended.status.code(), Some(0));
    let ended = orch(&["rollout", "abort", "web"], &env).await;
    assert_eq!(stdout(&ended), "web: going back, version 2 → 1\n", "{}", stderr(&ended));
    let asked = server.asked();
    let steered: Vec<_> = asked.iter().filter(|asked| asked.method == "POST").collect();
    assert_eq!(steered[0].path, format!("/v1/services/{SERVICE}/rollout/pause?reason=odd%20errors"));
    assert!(steered.iter().all(|asked| asked.header("idempotency-key").is_some()));
    let ended = orch(&["rollout", "pause"], &env).await;
    assert_eq!(ended.status.code(), Some(64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_all_and_writes_nothing_and_its_exit_code_tells_if_asked() {
    let server = cluster(&["running"], vec![]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let (_folder, path) = file("name: web\nimage: web:1\nreplicas: 2\n");
    let path = path.to_str().unwrap();
    let ended = orch(&["plan", path], &env).await;
    assert_eq!(
        stdout(&ended),
        format!("{PLANNED}Plan: 0 to create, 1 to change, 0 unchanged; nothing was written\n"),
        "{}",
        stderr(&ended)
    );
    assert_eq!(ended.status.code(), Some(0));
    let ended = orch(&["plan", path, "--detailed-exitcode", "--if-revision", "7"], &env).await;
    assert_eq!((ended.status.code(), stderr(&ended).as_str()), (Some(3), ""));
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.path == "/v1/plan"), "{asked:?}");
    assert_eq!(asked[1].header("if-match"), Some("\"7\""));
    let (_other, second) = file("name: api\nimage: web:1\n");
    let ended = orch(&["deploy", path, second.to_str().unwrap(), "--if-revision", "7"], &env).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(stderr(&ended).contains("about one service"), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_of_several_services_is_told_at_once_and_nothing_is_sent() {
    let server = Server::start(|_, _| error(400, "invalid_argument")).await;
    let (_folder, path) = file("name: web\nimage: web:1\n---\nname: api\nimage: web:1\n");
    let ended = orch(&["deploy", path.to_str().unwrap(), "--server", &server.url], &[]).await;
    let told = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1));
    assert!(told.contains("service web: ") && told.contains("service api: "), "{told}");
    assert!(server.asked().iter().all(|asked| asked.path == "/v1/plan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_is_answered_for_services_replicas_tasks_and_nodes_by_name_or_id() {
    let server = cluster(&["running"], vec![task(1, 2, "failed", Some(NODE))]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let task_id = task(1, 2, "failed", None)["id"].as_str().unwrap().to_owned();
    for (target, key) in [
        ("web", "service_id"),
        ("service/web", "service_id"),
        (SERVICE, "service_id"),
        ("web.1", "task_id"),
        (&task_id, "task_id"),
        (NODE, "node_id"),
        (&format!("node/{NODE_NAME}"), "node_id"),
    ] {
        let ended = orch(&["why", target], &env).await;
        let told = stdout(&ended);
        assert_eq!(ended.status.code(), Some(0), "{target}: {}", stderr(&ended));
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], format!("{key} is not well: it failed"), "{target}");
        assert!(lines[1].starts_with("  web.1: it failed (") && lines[2] == "  web.1: waiting", "{told}");
        assert!(lines[3] == "Last events:" && lines[4].ends_with("web.1 failed"), "{told}");
    }
    let ended = orch(&["why", "wob"], &env).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("`wob` is no service or task"), "{}", stderr(&ended));
    let ended = orch(&["service", "inspect", "web"], &env).await;
    assert_eq!(stdout(&ended).lines().next(), Some("service_id is not well: it failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_waited_for_and_a_history_says_who_changed_what() {
    let server = cluster(&["running", "succeeded"], vec![task(1, 2, "running", Some(NODE))]).await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    let ended = orch(&["restart", "web", "--reason", "stale cache", "--wait"], &env).await;
    assert_eq!(stdout(&ended), "web: every replica is replaced, one after the other\n", "{}", stderr(&ended));
    let asked = server.asked();
    let restart = asked.iter().find(|asked| asked.method == "POST").unwrap();
    assert_eq!(restart.path, format!("/v1/services/{SERVICE}/restart?reason=stale%20cache"));
    assert!(restart.header("idempotency-key").is_some());
    let told = stdout(&orch(&["history", "web"], &env).await);
    let line = told.lines().nth(1).unwrap();
    assert!(line.starts_with("2 *      succeeded  web:1  ann") && line.ends_with("template.image"), "{told}");
    let told = stdout(&orch(&["history", "web", "--changes"], &env).await);
    assert!(
        told.contains("version 2 by ann, ") && told.contains("  template.image: \"web:0\" → \"web:1\"\n"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_takes_a_deadline_and_a_removal_a_confirmation() {
    let server = Server::start(|asked, _| match (asked.method.as_str(), asked.path.as_str()) {
        ("GET", _) => Reply::Json(200, json!({"nodes": [node()]})),
        ("POST", _) => Reply::Json(200, json!({"node": node()})),
        (_, path) if path.ends_with("confirmed_dead=true") => Reply::Json(204, Value::Null),
        _ => Reply::Json(
            409,
            json!({"error": {"code": "conflict", "message": "it may still run db.1; if it is dead, confirm it"}}),
        ),
    })
    .await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    for args in [&["--deadline", "10m"][..], &["--force"], &[]] {
        let ended = orch(&[&["node", "drain", NODE_NAME][..], args].concat(), &env).await;
        assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    }
    let ended = orch(&["node", "rm", NODE_NAME], &env).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("--confirmed-dead"), "{}", stderr(&ended));
    let ended = orch(&["node", "rm", NODE_NAME, "--confirmed-dead"], &env).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let asked = server.asked();
    let paths: Vec<_> = asked.iter().filter(|a| a.method == "POST").map(|a| a.path.as_str()).collect();
    let drain = format!("/v1/nodes/{NODE}/drain");
    assert_eq!(
        paths,
        [format!("{drain}?deadline_seconds=600"), format!("{drain}?deadline_seconds=0&force=true"), drain]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_can_be_waited_for() {
    let server = cluster(&["running"], vec![]).await;
    let ended = orch(&["node", "drain", NODE_NAME, "--wait", "--server", &server.url], &[]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let told = stderr(&ended);
    assert!(
        told.contains("2 of 2 tasks left; 0 of 2") && told.contains("1 of 2 tasks left; 1 of 2"),
        "{told}"
    );
    assert!(stdout(&ended).ends_with("nothing is left on it\n"), "{}", stdout(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minted_token_is_one_that_the_server_takes() {
    use orch_core::identity::{Role, UserAuthenticator as _, UserProof};
    let key = "0123456789abcdef0123456789abcdef";
    let ended = orch(
        &["token", "mint", "--sub", "alice", "--role", "operator", "--ttl", "5m"],
        &[("ORCH_JWT_SECRET", key)],
    )
    .await;
    let token = stdout(&ended);
    assert_eq!(token.lines().count(), 1, "{}", stderr(&ended));
    let users = orch_auth::jwt::JwtUsers::new(&orch_core::secret::Secret::new(key.to_owned())).unwrap();
    let now = orch_core::time::Timestamp::from_micros(jiff::Timestamp::now().as_microsecond());
    let mut proof = UserProof::at(now);
    proof.bearer = Some(orch_core::secret::Secret::new(token.trim().to_owned()));
    let alice = users.authenticate(&proof).await.unwrap();
    assert_eq!((alice.subject.as_str(), alice.grants.cluster), ("alice", Some(Role::Operator)));
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("keys.yaml");
    let keys = "keys: [{kid: new, secret: fedcba9876543210fedcba9876543210}, {kid: old, secret: 0123456789abcdef0123456789abcdef}]";
    std::fs::write(&ring, keys).unwrap();
    let by_ring = ["token", "mint", "--sub", "bob", "--role", "viewer", "--key-ring", ring.to_str().unwrap()];
    let ended = orch(&by_ring, &[]).await;
    let ring = orch_auth::live::Live::new(orch_auth::jwt::KeyRing::parse(keys).unwrap());
    proof.bearer = Some(orch_core::secret::Secret::new(stdout(&ended).trim().to_owned()));
    let bob = orch_auth::jwt::JwtUsers::with_ring(ring).authenticate(&proof).await.unwrap();
    assert_eq!((bob.subject.as_str(), bob.grants.cluster), ("bob", Some(Role::Viewer)));
    assert!(users.authenticate(&proof).await.is_err(), "it was signed with the first key");
    let ended = orch(&["token", "mint", "--sub", "a", "--role", "admin"], &[]).await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(stderr(&ended).contains("--secret-file"), "{}", stderr(&ended));
    let ended = orch(&["token", "mint", "--sub", "a", "--role", "king"], &[]).await;
    assert!(stderr(&ended).contains("`admin`, `operator` or `viewer`"), "{}", stderr(&ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_remedy() {
    let server = Server::start(|_, _| error(401, "unauthorized")).await;
    let ended = orch(&["node", "ls", "--server", &server.url], &[]).await;
    let told = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        told.contains("this is unauthorized (unauthorized) [request r-7]") && told.contains("ORCH_TOKEN"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn completion_scripts_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&orch(&["completion", shell], &[]).await);
        assert!(script.contains("drain-status"), "{shell}");
    }
}
