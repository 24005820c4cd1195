//! What stands in `deploy/` fits the programs: its variables are read, its metrics exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(workspace().join("deploy").join(path)).unwrap()
}

/// All sources of the crates, tests aside.
fn sources() -> String {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, into),
                false if path.extension().is_some_and(|kind| kind == "rs") => into.push(path),
                false => {}
            }
        }
    }
    let mut files = Vec::new();
    for part in ["orch-core", "orch-server", "orch-agent", "orch-runtime", "orch-client"] {
        collect(&workspace().join(part).join("src"), &mut files);
    }
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// What looks like a metric in a query.
fn metrics(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.contains('_') && *word != "histogram_quantile")
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn alerts_and_board_ask_for_metrics_that_the_programs_have() {
    let rules = text("prometheus/rules.yaml");
    let rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ").map(str::to_owned));
    let board: serde_json::Value = serde_json::from_str(&text("grafana/orch.json")).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let board = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let queries: Vec<String> = rules.chain(board).collect();
    assert!(queries.len() > 30, "{queries:?}");
    let sources = sources();
    for query in &queries {
        for metric in metrics(query) {
            assert!(sources.contains(&format!("\"{metric}\"")), "`{metric}` of `{query}` is in no source");
        }
    }
}

/// The variables of an environment file, those that are commented out too.
fn variables(path: &str) -> Vec<(String, String)> {
    let text = text(path);
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let named = |name: &str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    pairs.filter(|(name, _)| named(name)).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_units_variables_are_ones_that_the_daemons_read() {
    let sources = sources();
    let files = ["systemd/server.env", "systemd/agent.env"];
    let variables: Vec<_> = files.iter().flat_map(|path| variables(path)).collect();
    assert!(variables.len() > 8, "{variables:?}");
    for (name, _) in variables {
        assert!(sources.contains(&format!("\"{name}\"")), "`{name}` is in no source");
    }
}
