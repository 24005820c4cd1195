use futures_util::{FutureExt as _, StreamExt as _};

use super::*;
use crate::env::SystemEnv;
use crate::id::IdStream;
use crate::runtime::LogOptions;
use crate::secret::ResolvedSecrets;
use crate::service::{RestartPolicy, TaskTemplate, Version};
use crate::task::Attempt;

fn template() -> TaskTemplate {
    serde_json::from_value(serde_json::json!({
        "image": "web:1", "requests": {"cpu_millis": 0, "memory_bytes": 0},
        "limits": {"cpu_millis": 0, "memory_bytes": 0}, "init": true,
        "restart": {"condition": "always"}, "stop": {"grace": {"secs": 1, "nanos": 0}},
    }))
    .unwrap()
}

fn labels(seed: u64) -> ContainerLabels {
    let mut ids = IdStream::seeded(seed);
    ContainerLabels {
        cluster: ids.next(),
        node: ids.next(),
        service: ids.next(),
        task: ids.next(),
        attempt: Attempt::FIRST,
        version: Version(1),
        digest: template().digest(),
        restart: RestartPolicy::default(),
        stop: Default::default(),
    }
}

async fn create(runtime: &FakeRuntime, labels: &ContainerLabels) -> Result<ContainerId, RuntimeError> {
    let (template, secrets) = (template(), ResolvedSecrets::default());
    let image = runtime.ensure_image(&template.image, &|_: &str| ()).await?;
    runtime.create(CreateRequest::new("orch-x", "web-1", labels, &template, &image, &secrets)).await
}

#[tokio::test(start_paused = true)]
async fn what_was_done_and_failed_is_found_by_doing_it_again() {
    let runtime = FakeRuntime::new(SystemEnv::shared());
    let labels = labels(1);
    runtime.fail_next(Call::Create, Fault::AfterDoing);
    assert!(matches!(create(&runtime, &labels).await, Err(RuntimeError::Unreachable(_))));
    let id = create(&runtime, &labels).await.unwrap();
    assert_eq!(runtime.containers().len(), 1);
    runtime.start(&id).await.unwrap();
    runtime.start(&id).await.unwrap();
    assert!(runtime.running(labels.task).is_some());
    assert_eq!(runtime.pulls(), 1);
}

#[tokio::test(start_paused = true)]
async fn containers_exit_by_themselves_and_listeners_of_the_owner_alone_are_told() {
    let runtime = FakeRuntime::new(SystemEnv::shared());
    let (ours, other) = (labels(1), labels(2));
    let owner = Owner { cluster: ours.cluster, node: ours.node };
    let mut events = runtime.events(&owner);
    let foreign = runtime.insert("foreign", other, ContainerState::Created);
    runtime.start(&foreign).await.unwrap();
    assert!(events.next().now_or_never().is_none());
    runtime.behave(|behaviour| behaviour.exit_after = Some((Duration::from_secs(3), 4)));
    let id = create(&runtime, &ours).await.unwrap();
    runtime.start(&id).await.unwrap();
    for what in ["create", "start", "die"] {
        let RuntimeEvent::Changed(event) = events.next().await.unwrap() else { panic!() };
        assert_eq!(event.container, id);
        match event.change {
            ContainerChange::Created => assert_eq!(what, "create"),
            ContainerChange::Started { .. } => assert_eq!(what, "start"),
            ContainerChange::Ended(exit) => assert_eq!((what, exit.code), ("die", Some(4))),
            other => panic!("{other:?}"),
        }
    }
    let seen = runtime.inspect(&id).await.unwrap().unwrap();
    assert!(matches!(seen.state, ContainerState::Exited(Exit { code: Some(4), .. })));
    assert_eq!(runtime.list(&owner).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_followed_log_ends_with_its_container() {
    let runtime = FakeRuntime::new(SystemEnv::shared());
    let id = create(&runtime, &labels(1)).await.unwrap();
    runtime.start(&id).await.unwrap();
    for line in ["a", "b", "c"] {
        runtime.write_log(&id, line);
    }
    let options = LogOptions { follow: true, tail: Some(2), ..LogOptions::default() };
    let mut log = ContainerLogs::logs(&runtime, &id, &options).await.unwrap();
    let mut next = async || log.next().await.map(|chunk| chunk.unwrap().bytes);
    assert_eq!(next().await.as_deref(), Some(&b"b\n"[..]));
    assert_eq!(next().await.as_deref(), Some(&b"c\n"[..]));
    assert!(next().now_or_never().is_none());
    runtime.write_log(&id, "d");
    assert_eq!(next().await.as_deref(), Some(&b"d\n"[..]));
    runtime.kill(&id, 0);
    assert_eq!(next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_cut_off_answers_nothing_until_it_is_back() {
    let runtime = FakeRuntime::new(SystemEnv::shared());
    let labels = labels(1);
    let owner = Owner { cluster: labels.cluster, node: labels.node };
    let id = create(&runtime, &labels).await.unwrap();
    runtime.start(&id).await.unwrap();
    let mut events = runtime.events(&owner);
    runtime.set_reachable(false);
    assert!(matches!(events.next().await, Some(RuntimeEvent::Unreachable(_))));
    assert!(matches!(runtime.list(&owner).await, Err(RuntimeError::Unreachable(_))));
    runtime.set_reachable(true);
    assert_eq!(events.next().await, Some(RuntimeEvent::Reconnected));
    assert_eq!(runtime.list(&owner).await.unwrap().len(), 1);
}
