//! The pages of the guide that speak for the code, held to it.

use std::collections::BTreeSet;

use expect_test::expect_file;
use orch_sim::machines;
use orch_sim::planted::Planted;

const PROMISES: &str = include_str!("../../docs/promises.md");

/// `UPDATE_EXPECT=1 cargo test -p orch-sim --test docs` draws the page anew.
#[test]
fn the_states_are_drawn_as_they_are() {
    let mut page = String::from(
        "# States, and the moves between\n\n\
         Drawn from the code by a test; what is not drawn is refused. A move may also skip ahead along the arrows: reports come\n\
         late, twice and with gaps. Agents of the existing implementation also say `starting`, between created and running. The\n\
         simulation says which moves it has seen.\n",
    );
    for (machine, about) in [
        (
            "task",
            "A task, as its agent reports it. A later attempt begins the road anew, except past its end.",
        ),
        ("wanted", "What the control plane wants of a task."),
        ("rollout", "A deployment."),
        (
            "node",
            "A node. Cordoned is a flag beside it; a node that was draining when it fell silent drains on.",
        ),
        ("service", "A service."),
    ] {
        let diagram = machines::diagram(machine);
        page += &format!("\n## {about}\n\n```mermaid\n{diagram}```\n");
    }
    expect_file!["../../docs/states.md"].assert_eq(&page);
}

#[test]
fn each_promise_has_an_invariant_and_a_fault_that_breaks_it() {
    let rows: Vec<Vec<&str>> = PROMISES
        .lines()
        .filter(|line| line.starts_with("| ") && line.chars().nth(2).is_some_and(|c| c.is_ascii_digit()))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let numbers: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let mut named = BTreeSet::new();
    for row in &rows {
        let faults: Vec<_> = row[2].split(", ").map(|name| name.trim_matches('`')).collect();
        for fault in faults {
            assert!(
                fault.parse::<Planted>().is_ok(),
                "promise {} names `{fault}`, which cannot be planted",
                row[0]
            );
            assert!(named.insert(fault), "`{fault}` is named twice");
        }
    }
    let missing: Vec<_> =
        Planted::ALL.iter().map(|one| one.name()).filter(|one| !named.contains(one)).collect();
    assert!(missing.is_empty(), "no promise names {missing:?}");
}
