//! What containers use, from the engine's counters to a user's table.

use serde_json::Value;

use crate::engine;
use crate::site::Site;

/// A text of 32 MiB, held, and a loop that never ends.
const BURN: &str = "BEGIN { s = \"x\"; while (length(s) < 33554432) s = s s; while (1) n++ }";

fn usage<'a>(answer: &'a Value, service: &str) -> &'a Value {
    let stats = answer["stats"].as_array().unwrap();
    let task = stats.iter().find(|task| task["service"] == service);
    &task.unwrap_or_else(|| panic!("{service} is not in {answer}"))["usage"]
}

#[test]
fn a_container_that_burns_and_holds_is_told_from_one_that_sleeps_engine() {
    let site = Site::start(&["a"]);
    let image = engine::import_shell(&site.image);
    let deploy = |name: &str, command: &[&str]| {
        let file = site.path(&format!("{name}.yaml"));
        let command = serde_json::to_string(command).unwrap();
        let spec = format!(
            "name: {name}\nimage: {image}\nreplicas: 1\ncommand: {command}\nstopGrace: 1s\n\
             resources: {{cpu: 500m, memory: 160Mi}}\n"
        );
        std::fs::write(&file, spec).unwrap();
        site.ok(&["deploy", file.to_str().unwrap(), "--wait", "--timeout", "60s"]);
    };
    deploy("burns", &["/busybox", "awk", BURN]);
    deploy("sleeps", &["/busybox", "sleep", "100000"]);

    let answer = site.json(&["stats"]);
    let (burns, sleeps) = (usage(&answer, "burns"), usage(&answer, "sleeps"));
    let number =
        |usage: &Value, name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{name} in {answer}"));
    let cpu = number(burns, "cpu_millis");
    assert!((100..=700).contains(&cpu), "half a core is its limit: {answer}");
    assert!(number(sleeps, "cpu_millis") < 50, "{answer}");
    let memory = number(burns, "memory_bytes");
    assert!((32 << 20..=160 << 20).contains(&memory), "{answer}");
    assert!(number(sleeps, "memory_bytes") < 8 << 20, "{answer}");
    assert_eq!(number(burns, "memory_limit_bytes"), 160 << 20);
    assert!(number(burns, "pids") >= 1 && number(burns, "interval_ms") >= 900, "{answer}");

    let table = site.ok(&["stats", "burns"]);
    let (head, row) = table.split_once('\n').unwrap();
    assert!(head.starts_with("REPLICA") && row.starts_with("burns.1") && row.contains("160Mi"), "{table}");
    assert!(!table.contains("sleeps"), "{table}");
    let id = answer["stats"][0]["task_id"].as_str().unwrap();
    assert_eq!(site.json(&["stats", &id[..8]])["stats"][0]["task_id"], id);

    let top = site.ok(&["top", "--rounds", "2", "-d", "1"]);
    assert_eq!(top.matches("REPLICA").count(), 2, "{top}");
    assert!(!top.contains('\u{1b}'), "plain lines where nobody looks: {top}");
    let first = top.lines().nth(1).unwrap();
    assert!(first.starts_with("burns.1"), "the busiest first: {top}");
    let rounds = site.ok(&["top", "--rounds", "2", "-d", "1", "-o", "json"]);
    assert!(
        rounds.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && rounds.lines().count() == 2
    );

    // A viewer may; nobody may not.
    let viewer = site.ok(&["token", "mint", "--sub", "guest", "--role", "viewer"]);
    site.ok(&["--token", viewer.trim(), "stats", "burns"]);
    let nobody = site.orch(&["--token", "x", "stats", "burns"]);
    assert!(nobody.code != 0, "{nobody:?}");
}
