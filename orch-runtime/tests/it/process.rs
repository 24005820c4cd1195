//! What the contract does not say, and the process runtime does.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use orch_core::id::IdStream;
use orch_core::runtime::{
    ContainerId, ContainerLabels, ContainerLogs, ContainerRuntime, ContainerState, CreateRequest, LogOptions,
    RuntimeError,
};
use orch_core::secret::{ResolvedSecret, ResolvedSecrets, Secret, SecretDelivery};
use orch_core::service::{
    ContainerSettings, HealthCheck, LogSettings, Mount, MountSource, Probe, StopPolicy, TaskTemplate, Version,
};
use orch_core::task::{Attempt, FailureKind};
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture as _};

use crate::fixture::{ProcessFixture, processes};

async fn create(
    runtime: &dyn ContainerRuntime,
    fixture: &ProcessFixture,
    template: &TaskTemplate,
    secrets: &ResolvedSecrets,
) -> Result<ContainerId, RuntimeError> {
    let mut ids = IdStream::seeded(7);
    let labels = ContainerLabels {
        cluster: fixture.owner().cluster,
        node: fixture.owner().node,
        service: ids.next(),
        task: ids.next(),
        attempt: Attempt::FIRST,
        version: Version(1),
        digest: template.digest(),
        restart: template.restart.clone(),
        stop: template.stop.clone(),
    };
    let image = runtime.ensure_image(&template.image, &|_| {}).await?;
    runtime.create(CreateRequest::new("orch-x", "web-1", &labels, template, &image, secrets)).await
}

fn shell(fixture: &ProcessFixture, script: &str) -> TaskTemplate {
    let mut template = fixture.template(Behaviour::Serve);
    template.command = ["/bin/sh", "-c", script].map(str::to_owned).into();
    template
}

#[test]
fn a_process_outlives_its_agent_and_its_exit_code_is_then_unknown() {
    let agent = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = agent();
    let (fixture, id) = first.block_on(async {
        let fixture = ProcessFixture::new().await;
        let template = fixture.template(Behaviour::Serve);
        let id = create(&fixture.runtime, &fixture, &template, &ResolvedSecrets::default()).await.unwrap();
        fixture.runtime.start(&id).await.unwrap();
        (fixture, id)
    });
    drop(first); // with all that would have waited for the process
    agent().block_on(async {
        let anew = processes(fixture.state.path());
        let found = anew.inspect(&id).await.unwrap().unwrap();
        assert!(matches!(found.state, ContainerState::Running { .. }), "{:?}", found.state);
        anew.stop(&id, &StopPolicy::default()).await.unwrap();
        let ContainerState::Exited(exit) = anew.inspect(&id).await.unwrap().unwrap().state else {
            panic!("it goes on")
        };
        assert_eq!(exit.code, None);
    });
}

#[tokio::test]
async fn the_whole_group_is_stopped_and_what_ignores_the_signal_is_killed() {
    let fixture = ProcessFixture::new().await;
    let template = shell(&fixture, "trap '' TERM; echo listens; while :; do sleep 1000 & wait; done");
    let id = create(&fixture.runtime, &fixture, &template, &ResolvedSecrets::default()).await.unwrap();
    fixture.runtime.start(&id).await.unwrap();
    // It says so once it ignores the signal.
    let follow = LogOptions { follow: true, ..Default::default() };
    let mut log = ContainerLogs::logs(&fixture.runtime, &id, &follow).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap().bytes, "listens\n");
    let grace = Duration::from_millis(200);
    let start = Instant::now();
    let policy = StopPolicy { signal: Some("SIGTERM".to_owned()), grace, ..StopPolicy::default() };
    fixture.runtime.stop(&id, &policy).await.unwrap();
    assert!(start.elapsed() >= grace);
    let ContainerState::Exited(exit) = fixture.runtime.inspect(&id).await.unwrap().unwrap().state else {
        panic!("it goes on")
    };
    assert_eq!(exit.code, Some(137));
}

#[tokio::test]
async fn secrets_are_in_the_environment_and_never_on_disk() {
    let fixture = ProcessFixture::new().await;
    let template = shell(&fixture, "test ${#TOKEN} -eq 7");
    let value = ResolvedSecret {
        delivery: SecretDelivery::Env("TOKEN".parse().unwrap()),
        value: Secret::new(b"hunter2".to_vec()),
    };
    let secrets = ResolvedSecrets { values: vec![value] };
    let id = create(&fixture.runtime, &fixture, &template, &secrets).await.unwrap();
    let record = std::fs::read_to_string(fixture.state.path().join("orch-x/container.json")).unwrap();
    assert!(record.contains("${#TOKEN}") && !record.contains("hunter2"), "{record}");
    fixture.runtime.start(&id).await.unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let exit = loop {
        match fixture.runtime.inspect(&id).await.unwrap().unwrap().state {
            ContainerState::Exited(exit) => break exit,
            state => assert!(Instant::now() < end, "{state:?}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(exit.code, Some(0));
}

#[tokio::test]
async fn what_a_process_cannot_have_is_refused() {
    let fixture = ProcessFixture::new().await;
    let none = ResolvedSecrets::default();
    let mut read_only = fixture.template(Behaviour::Serve);
    read_only.security.read_only_root = true;
    let mut nothing = fixture.template(Behaviour::Serve);
    nothing.command.clear();
    let mut settings = Vec::new();
    let changes: [fn(&mut ContainerSettings); 6] = [
        |own| own.hostname = Some("x".to_owned()),
        |own| own.pids_limit = std::num::NonZeroU32::new(9),
        |own| own.shm_bytes = Some(1 << 20),
        |own| own.dns.search = vec!["x".to_owned()],
        |own| own.extra_hosts = [("x".to_owned(), "10.0.0.1".parse().unwrap())].into(),
        |own| own.log = Some(LogSettings { driver: "local".to_owned(), options: [].into() }),
    ];
    for change in changes {
        let mut template = fixture.template(Behaviour::Serve);
        change(&mut template.settings);
        settings.push(template);
    }
    let mut checked = fixture.template(Behaviour::Serve);
    checked.health = Some(HealthCheck {
        probe: Probe::Exec { command: vec!["true".to_owned()] },
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
        start_period: Duration::ZERO,
        healthy_threshold: 1,
        unhealthy_threshold: 3,
    });
    let mut mounting = fixture.template(Behaviour::Serve);
    let source = MountSource::Tmpfs { size_bytes: None, mode: None };
    mounting.mounts = vec![Mount { target: "/x".to_owned(), source }];
    for template in [read_only, nothing, mounting, checked].into_iter().chain(settings) {
        let result = create(&fixture.runtime, &fixture, &template, &none).await;
        assert!(matches!(result, Err(RuntimeError::Permanent { .. })), "{result:?}");
    }
    let missing = TaskTemplate { command: vec!["/no/such/program".to_owned()], ..shell(&fixture, "") };
    let id = create(&fixture.runtime, &fixture, &missing, &none).await.unwrap();
    let result = fixture.runtime.start(&id).await;
    assert!(matches!(result, Err(RuntimeError::Permanent { kind: FailureKind::Engine, .. })), "{result:?}");
}
