//! Commands of health checks on a real engine.

use std::time::{Duration, Instant};

use orch_core::runtime::{
    CheckResult, ContainerChecks as _, ContainerId, ContainerRuntime as _, RuntimeError,
};
use orch_core::secret::ResolvedSecrets;
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture as _};
use serde_json::Value;

use crate::docker::{ask, engine, free_port, get, run};
use crate::fixture::DockerFixture;

const SECOND: Duration = Duration::from_secs(1);

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A container of the demo server that answers already, and its port.
async fn serving(fixture: &DockerFixture) -> (ContainerId, std::num::NonZeroU16) {
    let port = free_port();
    let template = fixture.template(Behaviour::Serve);
    let id = run(&fixture.runtime, fixture, &template, port, &ResolvedSecrets::default()).await.unwrap();
    get(port, "/health").await;
    (id, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_judged_by_its_exit_code_and_what_it_wrote_is_kept() {
    let fixture = DockerFixture::new().await;
    let (id, port) = serving(&fixture).await;
    let check =
        async |words: &[&str]| fixture.runtime.check(&id, &command(words), 10 * SECOND).await.unwrap();
    let exited = |code, output: &str| CheckResult::Exited { code, output: output.to_owned() };
    assert_eq!(check(&["/web", "check"]).await, exited(0, "ok\n"));
    assert_eq!(ask("POST", port, "/health?ok=false").await.0, 200);
    assert_eq!(check(&["/web", "check"]).await, exited(1, "not healthy\n"));
    let CheckResult::Exited { code, output } = check(&["/no/such/program"]).await else { panic!() };
    assert!(matches!(code, 126 | 127), "{code}");
    assert!(output.contains("/no/such/program"), "{output}");
    assert_eq!(check(&["/web", "check", "/"]).await, exited(0, &get(port, "/").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hangs_is_left_alone_and_no_other_is_started_beside_it() {
    let fixture = DockerFixture::new().await;
    let (id, port) = serving(&fixture).await;
    let slow = command(&["/web", "check", "/slow?ms=3000"]);
    let begun = Instant::now();
    assert_eq!(fixture.runtime.check(&id, &slow, SECOND / 4).await.unwrap(), CheckResult::TimedOut);
    assert!(begun.elapsed() < 3 * SECOND, "the caller does not wait for it");
    let quick = command(&["/web", "check"]);
    assert_eq!(fixture.runtime.check(&id, &quick, 5 * SECOND).await.unwrap(), CheckResult::StillRunning);
    let execs = || {
        let (_, found) = engine("GET", &format!("/containers/{id}/json"), &Value::Null);
        found["ExecIDs"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(execs(), 1, "one hung command, whatever was asked since");
    // The container serves, is looked at and is stopped as ever.
    assert_eq!(get(port, "/health").await, "ok\n");
    let end = Instant::now() + 20 * SECOND;
    loop {
        match fixture.runtime.check(&id, &quick, 5 * SECOND).await.unwrap() {
            CheckResult::StillRunning => assert!(Instant::now() < end, "it never ends"),
            result => break assert_eq!(result, CheckResult::Exited { code: 0, output: "ok\n".to_owned() }),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_gone_or_stopped_or_foreign_is_not_judged() {
    let fixture = DockerFixture::new().await;
    let (id, _) = serving(&fixture).await;
    let quick = command(&["/web", "check"]);
    fixture.runtime.stop(&id, &fixture.template(Behaviour::Serve).stop).await.unwrap();
    assert!(matches!(fixture.runtime.check(&id, &quick, SECOND).await, Err(RuntimeError::Gone)));
    fixture.runtime.remove(&id).await.unwrap();
    assert!(matches!(fixture.runtime.check(&id, &quick, SECOND).await, Err(RuntimeError::Gone)));
}
