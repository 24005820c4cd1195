//! The embedded orchestrator is not only shown but run.

use std::process::Command;

#[test]
fn a_program_embeds_the_whole_orchestrator() {
    let output = Command::new(env!("CARGO_BIN_EXE_embedded")).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().all(|line| line.starts_with("sleeper.") && line.ends_with(" is running")), "{said}");
}
