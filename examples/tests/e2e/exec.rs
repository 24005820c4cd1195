//! Commands inside containers, from a user's terminal to the engine and back.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::binaries::program;
use crate::engine;
use crate::site::Site;

/// A site with a service of one container that sleeps and has busybox.
fn sleeping() -> Site {
    let site = Site::start(&["a"]);
    let image = engine::import_shell(&site.image);
    let file = site.path("sleep.yaml");
    let spec = format!(
        "name: web\nimage: {image}\nreplicas: 1\ncommand: [/busybox, sleep, \"100000\"]\nstopGrace: 1s\n"
    );
    std::fs::write(&file, spec).unwrap();
    site.ok(&["deploy", file.to_str().unwrap(), "--wait", "--timeout", "60s"]);
    site
}

#[test]
fn a_command_gets_its_input_and_gives_its_output_and_exit_code_byte_for_byte_engine() {
    let site = sleeping();
    let ran = site.orch(&["exec", "web", "--", "/busybox", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (7, "out\n", "err\n"), "{ran:?}");
    let missing = site.orch(&["exec", "web", "--", "/no/such/program"]);
    assert!(missing.code != 0, "{missing:?}");

    let mut byte = 1_u32;
    let bytes: Vec<u8> = (0..10 << 20)
        .map(|_| {
            byte = byte.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (byte >> 24) as u8
        })
        .collect();
    let mut cat = site.command(&["exec", "-i", "web", "--", "/busybox", "cat"]);
    let mut cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut to = cat.stdin.take().unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || to.write_all(&sent));
    let output = cat.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stdout == bytes, "{} bytes came back of {}", output.stdout.len(), bytes.len());

    let mut echo = site.command(&["exec", "-i", "web", "--", "/busybox", "cat"]);
    let mut echo = echo.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    echo.stdin.take().unwrap().write_all(b"a canary of this test").unwrap();
    assert_eq!(echo.wait_with_output().unwrap().stdout, b"a canary of this test");
    for said in [site.server_log(), site.agent_log("a")] {
        assert!(!said.contains("a canary of this test"), "what goes in and out is written nowhere");
    }

    let audit = site.json(&["audit"]);
    let records =
        audit["audit_logs"].as_array().unwrap().iter().filter(|record| record["action"] == "task.exec");
    let commands: Vec<_> =
        records.map(|record| record["metadata"]["command"].as_str().unwrap().to_owned()).collect();
    assert!(commands.contains(&r#"["/busybox","cat"]"#.to_owned()), "{commands:?}");
    let needle = &bytes[..64];
    let stored = site.stored();
    assert!(!stored.windows(needle.len()).any(|window| window == needle), "what is sent is written nowhere");
}

#[test]
fn a_terminal_has_the_users_size_and_only_operators_get_one_engine() {
    let site = sleeping();
    let orch = site.command(&[]);
    // The size comes a moment after the start.
    let inside = "until stty size | grep -q 33; do usleep 10000; done; stty size";
    let line = format!(
        "stty rows 33 cols 77; {} exec -it web -- /busybox sh -c '{inside}'",
        program("orch").to_str().unwrap()
    );
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::null()).env("SHELL", "/bin/sh");
    script.envs(orch.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = script.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("33 77"), "{text} {}", String::from_utf8_lossy(&output.stderr));

    let viewer = site.ok(&["token", "mint", "--sub", "guest", "--role", "viewer"]);
    let refused = site.orch(&["--token", viewer.trim(), "exec", "web", "--", "/busybox", "true"]);
    assert!(refused.code != 0 && refused.err.contains("operator"), "{refused:?}");
    let nobody = site.orch(&["exec", "nobody", "--", "/busybox", "true"]);
    assert!(nobody.code != 0 && nobody.err.contains("nobody"), "{nobody:?}");
}
