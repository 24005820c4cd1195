//! Logs that never lie: followed over restarts of all that is between a container and its reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::engine;
use crate::poll::until;
use crate::site::Site;

/// What was read: per task and attempt, the numbers in the order they came.
type Read = BTreeMap<(String, u64), Vec<u64>>;

fn read(path: &Path) -> Read {
    let text = std::fs::read_to_string(path).unwrap();
    let mut read = Read::new();
    // The reader may be in the middle of its last line.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let frame: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(frame.get("gap").is_none(), "nothing was rotated away: {frame}");
        let Some(line) = frame.get("line") else { continue };
        let key = (line["task"].as_str().unwrap().to_owned(), line["attempt"].as_u64().unwrap());
        read.entry(key).or_default().push(line["text"].as_str().unwrap().parse().unwrap());
    }
    read
}

#[test]
fn a_followed_log_has_each_line_once_over_restarts_of_server_agent_and_container_engine() {
    let mut site = Site::start(&["a"]);
    let image = engine::import_shell(&site.image);
    let file = site.path("count.yaml");
    let script = "i=0; while :; do i=$((i+20)); seq $((i-19)) $i; usleep 10000; done";
    let spec = format!(
        "name: web\nimage: {image}\nreplicas: 2\nrestart: {{policy: always}}\n\
         command: [/busybox, sh, -c, \"{script}\"]\nstopGrace: 1s\n"
    );
    std::fs::write(&file, spec).unwrap();
    site.ok(&["deploy", file.to_str().unwrap(), "--wait", "--timeout", "60s"]);

    let followed = site.path("followed.jsonl");
    let mut follow = site.command(&["logs", "web", "-f", "-o", "json"]);
    let mut follow = follow.stdout(File::create(&followed).unwrap()).stdin(Stdio::null()).spawn().unwrap();
    let further = |what: &str, since: usize| {
        until(what, || {
            let read = read(&followed);
            let newest: BTreeMap<_, _> = read.iter().map(|((task, _), lines)| (task, lines.len())).collect();
            (newest.len() >= 2 && newest.values().all(|lines| *lines >= since + 500)).then_some(())
        });
    };
    let least = || read(&followed).values().map(Vec::len).min().unwrap_or(0);
    further("lines of both replicas", 0);
    site.kill_server();
    site.start_server();
    further("lines after the server's restart", least());
    site.kill_agent("a");
    site.start_agent("a");
    site.wait_for_agent("a");
    further("lines after the agent's restart", least());

    let killed = site.running().into_values().next().unwrap();
    engine::kill(&killed.id);
    let second = until("lines of the next attempt", || {
        let read = read(&followed);
        read.into_iter()
            .find(|((task, attempt), lines)| *task == killed.task && *attempt == 2 && lines.len() > 100)
    });
    assert_eq!(second.1[0], 1);
    let kept = engine::lines_of(&killed.id);
    let previous = site.ok(&["logs", "web", "--previous", "--task", &killed.task, "-o", "json"]);
    let previous: Vec<&str> = previous.lines().filter(|line| line.starts_with("{\"line\"")).collect();
    assert_eq!(previous.len(), kept);
    let last: Value = serde_json::from_str(previous.last().unwrap()).unwrap();
    let last: usize = last["line"]["text"].as_str().unwrap().parse().unwrap();
    site.ok(&["scale", "web", "--replicas", "3"]);
    until("lines of the new replica", || {
        (read(&followed).keys().filter(|key| key.1 == 1).count() == 3).then_some(())
    });
    follow.kill().unwrap();
    follow.wait().unwrap();

    let read = read(&followed);
    for (key, lines) in &read {
        let expected: Vec<u64> = (1..).take(lines.len()).collect();
        let wrong = lines.iter().zip(&expected).position(|(is, should)| is != should);
        assert_eq!(
            wrong,
            None,
            "{key:?}: {:?}",
            wrong.map(|at| &lines[at.saturating_sub(3)..lines.len().min(at + 3)])
        );
    }
    assert_eq!(read[&(killed.task.clone(), 1)].len(), last, "all that the killed container said");
}
