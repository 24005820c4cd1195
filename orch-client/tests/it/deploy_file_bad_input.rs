//! What people get wrong in deploy files, entry by entry: the answer, with line and column, or the exact text that is taken.
//! Nothing is sent while anything is wrong (`cli::what_is_refused_of_several_services_is_told_at_once_and_nothing_is_sent`).
//!
//! | what is wrong | test |
//! | --- | --- |
//! | misspelt key, "did you mean" | `deploy_file::every_problem_is_told_with_its_place_and_what_would_be_right` |
//! | wrong type, out of range | the same |
//! | the same key twice, a service twice | the same; [`what_stands_twice_is_refused_where_it_stands_again`] |
//! | image reference, label, environment name | [`names_that_are_none_are_refused_where_they_stand`] |
//! | ports that clash inside a spec | [`what_stands_twice_is_refused_where_it_stands_again`] |
//! | `on`, `1.10`, `0755`, `12:30` where a string is due | [`every_string_is_the_text_that_stands_there`] |
//! | the same where none is due | [`where_no_string_is_due_the_words_of_yaml_are_refused`] |
//! | null | [`nothing_is_no_string_anywhere`] |
//! | tabs | [`tabs_that_indent_are_refused_with_their_line`] |
//! | merge keys | `deploy_file::anchors_and_merges_work_within_a_document`; [`a_merge_of_what_is_no_mapping_is_refused`] |
//! | alias bombs, depth, length | `deploy_file::a_file_cannot_cost_more_than_its_size` |
//! | several documents | `deploy_file::several_documents_are_several_services_and_empty_ones_are_none` |
//! | empty | [`a_file_without_a_service_is_refused`] |
//! | not UTF-8 | [`what_is_not_utf_8_is_told_with_its_place`] |

use orch_client::deploy_file::{parse, parse_bytes};

#[track_caller]
fn problem(text: &str) -> String {
    match parse(text) {
        Ok(services) => panic!("accepted: {services:?}"),
        Err(error) => error.in_file("f"),
    }
}

#[track_caller]
fn refused(rest: &str, told: &str) {
    let all = problem(&format!("name: a\nimage: b\n{rest}\n"));
    assert!(all.starts_with(told), "{rest:?}\n  expected: {told}\n  found:    {all}");
}

const TRAPS: [&str; 12] =
    ["on", "off", "yes", "No", "1.10", "0755", "12:30", "1e3", "0x10", "1_000", ".inf", "2026-01-02"];

#[test]
fn every_string_is_the_text_that_stands_there() {
    for trap in TRAPS {
        let text = format!(
            "name: a
image: b
entrypoint: [{trap}]
command: [{trap}, x]
labels: {{key: {trap}, on: x}}
env: {{on: {trap}, LONG: {{value: {trap}}}}}
securityContext: {{user: {trap}}}
placement: {{labels: {{zone: {trap}}}, constraints: [{{key: k, operator: in, values: [{trap}]}}]}}
log: {{driver: json-file, options: {{tag: {trap}}}}}
"
        );
        let spec = parse(&text).unwrap_or_else(|error| panic!("{}", error.in_file("f"))).remove(0);
        assert_eq!((spec.entrypoint[0].as_str(), spec.command[0].as_str()), (trap, trap));
        assert_eq!((spec.labels["key"].as_str(), spec.labels["on"].as_str()), (trap, "x"));
        assert_eq!((spec.env["on"].as_str(), spec.env["LONG"].as_str()), (trap, trap));
        assert_eq!(spec.security_context.user.as_deref(), Some(trap));
        assert_eq!(spec.placement_constraints[0].value, trap);
        assert_eq!(spec.placement_constraints[1].values, [trap]);
        assert_eq!(spec.log.unwrap().options["tag"], trap);
    }
}

#[test]
fn where_no_string_is_due_the_words_of_yaml_are_refused() {
    for (rest, told) in [
        ("stateful: on", "f:3:11: stateful: `on` is neither true nor false"),
        ("init: True", "f:3:7: init: `True` is neither true nor false"),
        ("replicas: 1.10", "f:3:11: replicas: `1.10` is not a whole number"),
        ("replicas: 0755", "f:3:11: replicas: `0755` is not a whole number"),
        ("replicas: 0o17", "f:3:11: replicas: `0o17` is not a whole number"),
        ("replicas: 1_000", "f:3:11: replicas: `1_000` is not a whole number"),
        ("replicas: 12:30", "f:3:11: replicas: `12:30` is not a whole number"),
        ("replicas: null", "f:3:11: replicas: expected a whole number from 0 to 10000, found nothing (null)"),
        ("stopGrace: 12:30", "f:3:12: stopGrace: `12:30` is not a duration"),
        ("resources: {memory: 1e9}", "f:3:21: resources.memory: `1e9` is not an amount of memory"),
    ] {
        refused(rest, told);
    }
}

#[test]
fn nothing_is_no_string_anywhere() {
    for (rest, told) in [
        ("labels: {a: }", "f:3:11: labels.a: nothing stands here"),
        ("labels: {a: null}", "f:3:13: labels.a: nothing stands here"),
        ("command: [x, ~]", "f:3:14: command[1]: nothing stands here"),
        ("workdir:", "f:3:8: workdir: nothing stands here"),
        ("placement: {labels: {zone: Null}}", "f:3:28: placement.labels.zone: nothing stands here"),
    ] {
        refused(rest, told);
    }
    let all = problem("name: ~\nimage: b\n");
    assert!(all.starts_with("f:1:7: name: nothing stands here"), "{all}");
}

#[test]
fn what_stands_twice_is_refused_where_it_stands_again() {
    for (rest, told) in [
        ("env:\n  A: 1\n  A: 2", "f:5:3: `A` stands twice; first on line 4"),
        ("labels: {a: 1, b: 2, a: 3}", "f:3:22: `a` stands twice; first on line 3"),
        ("env: {A: 1}\nenv: {B: 2}", "f:4:1: `env` stands twice; first on line 3"),
        ("ports: [{container: 80}, {container: 80}]", "f:3:26: ports[1]: container port 80 is given twice"),
        (
            "ports: [{container: 80, public: 8080}, {container: 81, public: 8080}]",
            "f:3:40: ports[1]: published port 8080 is given twice",
        ),
        ("mounts: [{type: tmpfs, target: /t}, {type: tmpfs, target: /t/}]", "f:3:59: mounts[1].target: "),
        (
            "env: {A: x}\nsecretRefs: [{name: s, env: A}]",
            "f:4:14: secretRefs[0]: its variable or file is given twice",
        ),
    ] {
        refused(rest, told);
    }
    let all = problem("name: a\nimage: x\n---\nname: b\nimage: y\n---\nname: a\nimage: z\n");
    assert_eq!(all, "f:7:1: name: a second service with the name `a`");
}

#[test]
fn names_that_are_none_are_refused_where_they_stand() {
    for image in ["''", "'b c'", "-b", "https://b", "'b:'", "'b@sha256:12'", "B", "'b\"'"] {
        let all = problem(&format!("name: a\nimage: {image}\n"));
        assert!(all.starts_with("f:2:8: image: "), "{image}: {all}");
    }
    for name in [
        "Web",
        "web_1",
        "'-web'",
        "a.b",
        "''",
        "x23456789x123456789x123456789x123456789x123456789x123456789x1234",
    ] {
        let all = problem(&format!("name: {name}\nimage: b\n"));
        assert!(all.starts_with("f:1:7: name: "), "{name}: {all}");
    }
    for (rest, told) in [
        ("labels: {orch.task_id: x}", "f:3:9: labels: `orch.` is kept for orch itself"),
        ("labels: {' ': x}", "f:3:9: labels: a key or value is not fit"),
        ("env: {1.10: x}", "f:3:7: env.1.10: `1.10` is not a valid environment variable name"),
        ("env: {'A=B': x}", "f:3:7: env.A=B: `A=B` is not a valid environment variable name"),
        ("env: {'': x}", "f:3:7: env.: "),
    ] {
        refused(rest, told);
    }
}

#[test]
fn tabs_that_indent_are_refused_with_their_line() {
    for text in ["name: a\nimage: b\nenv:\n\tA: x\n", "name: a\nimage: b\nenv:\n  A: x\n\tB: y\n"] {
        let all = problem(text);
        // Of the second the value that the tab is taken for a part of.
        assert!(all.starts_with("f:4:") && all.contains("tab"), "{text:?}: {all}");
    }
}

#[test]
fn a_merge_of_what_is_no_mapping_is_refused() {
    refused("env: {<<: x}", "f:3:7: `<<` merges a mapping");
    refused("env: {<<: [x]}", "f:3:7: `<<` merges a mapping");
}

#[test]
fn a_file_without_a_service_is_refused() {
    for text in ["", " \n", "# nothing\n", "---\n", "---\n---\n...\n", "~\n", "\u{feff}"] {
        assert_eq!(
            problem(text),
            "f:1:1: there is no service in it; expected at least `name` and `image`",
            "{text:?}"
        );
    }
}

#[test]
fn what_is_not_utf_8_is_told_with_its_place() {
    let told = |bytes: &[u8]| parse_bytes(bytes).unwrap_err().in_file("f");
    let latin = [b"name: a\nimage: b\nlabels: {town: K\xc3\xb6nigs-M".as_slice(), b"\xfcnster}\n"].concat();
    assert_eq!(told(&latin), "f:3:24: the byte 0xfc is not UTF-8; save the file as UTF-8");
    let utf_16: Vec<u8> = "name: a\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(
        told(&[b"\xff\xfe".as_slice(), &utf_16].concat()).starts_with("f:1:1: the byte 0xff is not UTF-8")
    );
    let mut long = b"name: a\n# ".to_vec();
    long.resize((1 << 20) - 1, b'x');
    long.extend("é".as_bytes());
    long.extend(b"more");
    assert!(told(&long).contains("longer than 1 MiB"), "cut in the middle of a character");
    assert_eq!(parse_bytes(b"name: a\nimage: b\n").unwrap()[0].name, "a");
}
