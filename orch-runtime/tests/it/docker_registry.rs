//! Pulls: a real engine and a real registry.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use orch_core::runtime::{ContainerRuntime as _, RuntimeError};
use orch_core::service::{ImageDigest, ImageRef};
use orch_core::task::FailureKind;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket, may_be_logged};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::registry::{PASSWORD, Registry, Stub, StubRegistry, USER};

/// A runtime that reads no login of whoever runs the tests.
fn docker(change: impl FnOnce(&mut DockerConfig)) -> DockerRuntime {
    let socket = DockerSocket::resolve(None).unwrap();
    let mut config = DockerConfig { socket, login_file: None, ..DockerConfig::default() };
    change(&mut config);
    DockerRuntime::new(config)
}

async fn ensure(docker: &DockerRuntime, image: &ImageRef) -> Result<ImageDigest, RuntimeError> {
    docker.ensure_image(image, &|_| {}).await
}

/// The words of a failure that no retry can mend.
fn permanent(outcome: Result<ImageDigest, RuntimeError>) -> String {
    match outcome {
        Err(RuntimeError::Permanent { kind: FailureKind::Image, message }) => message,
        other => panic!("{other:?}"),
    }
}

/// The words of a failure that may pass, and when to try again.
fn passing(outcome: Result<ImageDigest, RuntimeError>) -> (String, Option<Duration>) {
    match outcome {
        Err(RuntimeError::Retry { message, after }) => (message, after),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn docker_pulls_by_tag_and_by_digest() {
    let (docker, registry) = (docker(|_| {}), Registry::start());
    let (id, digest) = registry.publish(&docker, "1").await;
    let said = Mutex::new(Vec::new());
    let note = |text: &str| said.lock().unwrap().push(text.to_owned());
    assert_eq!(docker.ensure_image(&registry.image(":1"), &note).await.unwrap(), id);
    let said = said.into_inner().unwrap();
    // A small layer is there before the engine says that it comes.
    assert!(said.iter().any(|line| line.contains("Download")), "{said:?}");
    registry.forget(":1");
    let pinned = format!("@{digest}");
    assert_eq!(ensure(&docker, &registry.image(&pinned)).await.unwrap(), id);
    registry.forget(&pinned);
    // A tag beside the digest says nothing more, even one that is not there.
    assert_eq!(ensure(&docker, &registry.image(&format!(":no{pinned}"))).await.unwrap(), id);
}

/// M50: what is not there is terminal at once, with the registry's words.
#[tokio::test]
async fn docker_says_which_image_the_registry_does_not_have() {
    let (docker, registry) = (docker(|_| {}), Registry::start());
    registry.publish(&docker, "1").await;
    let wrong = format!("@sha256:{}", "0".repeat(64));
    let elsewhere: ImageRef = format!("{}/orch-test/nowhere:1", registry.host()).parse().unwrap();
    for image in [registry.image(":missing"), registry.image(&wrong), elsewhere] {
        let message = permanent(ensure(&docker, &image).await);
        assert!(message.starts_with(&format!("image {image}: ")), "{message}");
        assert!(message.contains("manifest unknown"), "{message}");
    }
}

#[tokio::test]
async fn docker_waits_for_a_registry_that_is_away() {
    let (docker, mut registry) = (docker(|_| {}), Registry::start());
    let (id, _) = registry.publish(&docker, "1").await;
    registry.stop();
    let image = registry.image(":1");
    let (message, after) = passing(ensure(&docker, &image).await);
    assert!(message.contains(image.as_str()) && message.contains("connection refused"), "{message}");
    assert_eq!(after, Some(Duration::from_secs(1)));
    registry.start_again();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match ensure(&docker, &image).await {
            Ok(found) => break assert_eq!(found, id),
            Err(RuntimeError::Retry { after, .. }) if Instant::now() < end => {
                tokio::time::sleep(after.unwrap()).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// M50: engines pass on that it was too much, and not what `Retry-After` said.
#[tokio::test]
async fn docker_leaves_a_registry_alone_that_was_asked_too_much() {
    let (docker, registry) = (docker(|_| {}), StubRegistry::start(Stub::TooMany));
    let image = |name: &str| format!("{}/orch-test/{name}:1", registry.host).parse::<ImageRef>().unwrap();
    let (message, after) = passing(ensure(&docker, &image("a")).await);
    assert!(message.contains("orch-test/a:1: toomanyrequests: slow down"), "{message}");
    assert_eq!(after, Some(Duration::from_secs(30)));
    let asked = registry.requests();
    assert!(asked > 0);
    let (message, after) = passing(ensure(&docker, &image("b")).await);
    assert!(message.contains("orch-test/b:1: registry") && message.contains("asked too much"), "{message}");
    assert!(after.is_some_and(|after| after > Duration::from_secs(20)), "{after:?}");
    assert_eq!(registry.requests(), asked, "it was asked again");
}

/// All that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn docker_logs_in_as_the_docker_config_file_says_and_tells_nobody_the_password() {
    let log = Log::default();
    let sink = log.clone();
    let lines = tracing_subscriber::fmt::layer().with_writer(move || sink.clone());
    let only = tracing_subscriber::filter::filter_fn(may_be_logged);
    let _logged = tracing::subscriber::set_default(
        tracing_subscriber::registry().with(tracing_subscriber::Layer::with_filter(lines, only)),
    );
    let registry = Registry::locked();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("config.json");
    let docker = docker(|config| config.login_file = Some(file.clone()));
    let (id, _) = registry.publish(&docker, "1").await;
    let image = registry.image(":1");
    let mut said = vec![format!("{docker:?}")];

    let message = permanent(ensure(&docker, &image).await);
    assert!(message.contains("no basic auth credentials"), "{message}");
    assert!(message.ends_with(&format!("; there is no {}", file.display())), "{message}");
    said.push(message);

    let log_in = |password: &str| {
        let pair = STANDARD.encode(format!("{USER}:{password}"));
        let auths = json!({ "auths": { registry.host(): { "auth": pair } } });
        fs::write(&file, auths.to_string()).unwrap();
        pair
    };
    let wrong = format!("{PASSWORD}-of-another");
    let mut secrets = vec![PASSWORD.to_owned(), log_in(&wrong)];
    let message = permanent(ensure(&docker, &image).await);
    assert!(message.contains("unauthorized") && message.contains("config.json was used"), "{message}");
    said.push(message);

    // Read anew: what is mended counts from the next try on.
    secrets.push(log_in(PASSWORD));
    assert_eq!(ensure(&docker, &image).await.unwrap(), id);

    tracing::info!("the log is read");
    said.push(String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(said.last().unwrap().contains("the log is read"));
    for secret in secrets {
        assert!(said.iter().all(|text| !text.contains(&secret)), "a password was told: {said:?}");
    }
}

#[tokio::test]
async fn docker_takes_no_image_with_a_broken_layer() {
    let (docker, registry) = (docker(|_| {}), Registry::start());
    let (id, _) = registry.publish(&docker, "1").await;
    let (image, layer) = (registry.image(":1"), registry.layer());
    let whole = fs::read(&layer).unwrap();
    let mut broken = whole.clone();
    *broken.last_mut().unwrap() ^= 1;
    fs::write(&layer, broken).unwrap();
    let (message, _) = passing(ensure(&docker, &image).await);
    assert!(message.contains(image.as_str()) && message.contains("verification failed"), "{message}");
    // One layer says nothing of the registry: others are pulled from it, and this one once it is mended.
    fs::write(&layer, whole).unwrap();
    assert_eq!(ensure(&docker, &image).await.unwrap(), id);
}

/// M50: without the lock on the reference each of them would ask the registry.
#[tokio::test]
async fn docker_pulls_once_for_all_that_wait() {
    let (docker, registry) = (docker(|config| config.concurrent_pulls = 8), Registry::start());
    let (id, _) = registry.publish(&docker, "1").await;
    let before = registry.log().matches("\"GET /v2/orch-test/web/manifests/").count();
    let image = registry.image(":1");
    for found in join_all((0..8).map(|_| ensure(&docker, &image))).await {
        assert_eq!(found.unwrap(), id);
    }
    let asked = registry.log().matches("\"GET /v2/orch-test/web/manifests/").count() - before;
    assert_eq!(asked, 1, "{}", registry.log());
}

/// M49: a pull that hangs is given up, and keeps its place from nobody else.
#[tokio::test]
async fn docker_gives_up_a_pull_that_hangs() {
    let stall = Duration::from_secs(1);
    let docker = docker(|config| (config.pull_stall, config.concurrent_pulls) = (stall, 1));
    let (registry, silent) = (Registry::start(), StubRegistry::start(Stub::Silent));
    let (id, _) = registry.publish(&docker, "1").await;
    let hanging: ImageRef = format!("{}/orch-test/web:1", silent.host).parse().unwrap();
    let (message, _) = passing(ensure(&docker, &hanging).await);
    assert_eq!(
        message,
        format!("image {hanging}: the pull was given up, since nothing came of it within 1 s")
    );
    assert_eq!(ensure(&docker, &registry.image(":1")).await.unwrap(), id);
}
