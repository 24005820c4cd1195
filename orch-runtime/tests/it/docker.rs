//! What the contract does not say, and a Docker Engine must do for us.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _};
use orch_core::id::IdStream;
use orch_core::runtime::{
    ContainerId, ContainerLabels, ContainerLogs, ContainerRuntime as _, ContainerState, CreateRequest,
    LogOptions, RuntimeError,
};
use orch_core::secret::{ResolvedSecret, ResolvedSecrets, Secret, SecretDelivery};
use orch_core::service::{AssignedPort, Protocol, StopPolicy, TaskTemplate, Version};
use orch_core::task::{Attempt, Exit, FailureKind};
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture as _};
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::demo_image;
use serde_json::{Value, json};

use crate::fixture::DockerFixture;

const PATIENCE: Duration = Duration::from_secs(20);

/// A free port of this machine.
pub(crate) fn free_port() -> NonZeroU16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    NonZeroU16::new(listener.local_addr().unwrap().port()).unwrap()
}

/// Creates and starts a container from `template`, with its port 8080 on `port`.
pub(crate) async fn run(
    docker: &DockerRuntime,
    fixture: &DockerFixture,
    template: &TaskTemplate,
    port: NonZeroU16,
    secrets: &ResolvedSecrets,
) -> Result<ContainerId, RuntimeError> {
    let mut ids = IdStream::seeded(u64::from(port.get()));
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
    let image = docker.ensure_image(&template.image, &|_| {}).await?;
    let name = format!("orch-{}-{}", labels.cluster, labels.task);
    let ports = [AssignedPort {
        name: None,
        protocol: Protocol::Tcp,
        container_port: NonZeroU16::new(8080).unwrap(),
        host_port: port,
    }];
    let request = CreateRequest::new(&name, "web-3", &labels, template, &image, secrets).with_ports(&ports);
    let id = docker.create(request).await?;
    docker.start(&id).await?;
    Ok(id)
}

/// `GET` until the server listens; answers the body.
pub(crate) async fn get(port: NonZeroU16, path: &str) -> String {
    let (status, body) = ask("GET", port, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// Asks until the server listens; answers status and body.
pub(crate) async fn ask(method: &'static str, port: NonZeroU16, path: &str) -> (u16, String) {
    let path = path.to_owned();
    let work = move || {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = TcpStream::connect(("127.0.0.1", port.get())).and_then(|mut stream| {
                write!(stream, "{method} {path} HTTP/1.1\r\nhost: x\r\n\r\n")?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).map(|_| answer)
            });
            // The engine's proxy listens before the server does: what is closed without a word is tried again.
            match answer {
                Ok(answer) if !answer.is_empty() => {
                    let answer = String::from_utf8(answer).unwrap();
                    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
                    return (status, body.to_owned());
                }
                other => assert!(Instant::now() < end, "{other:?}"),
            }
            std::thread::yield_now();
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The engine's API past the runtime: to see what it was told, and to play someone else.
pub(crate) fn engine(method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut stream = UnixStream::connect(DockerSocket::resolve(None).unwrap().path()).unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} /v1.41{path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

async fn exited(docker: &DockerRuntime, id: &ContainerId) -> Exit {
    let end = Instant::now() + PATIENCE;
    loop {
        match docker.inspect(id).await.unwrap().unwrap().state {
            ContainerState::Exited(exit) => return exit,
            state => assert!(Instant::now() < end, "{state:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_reaches_the_program_character_by_character() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    let values = [
        ("QUOTES", r#"a "b" 'c' \d `e`"#),
        ("DOLLARS", "$HOME ${X} $$ $(id)"),
        ("LINES", "one\ntwo\r\n\tthree"),
        ("EQUALS", "a=b=c"),
        ("UTF8", "grüße \u{1F980}"),
        ("EMPTY", ""),
    ];
    for (name, value) in values {
        template.env.insert(name.parse().unwrap(), value.to_owned());
    }
    let port = free_port();
    run(&fixture.runtime, &fixture, &template, port, &ResolvedSecrets::default()).await.unwrap();
    for (name, value) in values {
        assert_eq!(get(port, &format!("/env?name={name}")).await, value, "{name}");
    }
    assert_eq!(get(port, "/").await, "version 1 on web-3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_confined_unless_its_template_says_otherwise() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    template.security.read_only_root = true;
    template.security.user = Some("1234:2345".to_owned());
    template.limits = orch_core::node::Resources::new(250, 64 << 20);
    template.labels.insert("orch.managed".to_owned(), "false".to_owned());
    template.labels.insert("team".to_owned(), "shop".to_owned());
    let port = free_port();
    let id = run(&fixture.runtime, &fixture, &template, port, &ResolvedSecrets::default()).await.unwrap();

    let status = get(port, "/file?path=/proc/self/status").await;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert!(field("Uid:").starts_with("1234") && field("Gid:").starts_with("2345"));
    let bounding = u64::from_str_radix(&field("CapBnd:"), 16).unwrap();
    assert_eq!(bounding & (1 << 13), 0, "NET_RAW is dropped");
    assert_eq!(get(port, "/file?path=/proc/1/comm").await, "docker-init\n");

    let (_, found) = engine("GET", &format!("/containers/{id}/json"), &Value::Null);
    let host = &found["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!((&host["NanoCpus"], &host["Memory"]), (&json!(250_000_000), &json!(64 << 20)));
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert_eq!(found["Config"]["StopTimeout"], 5);
    let labels = &found["Config"]["Labels"];
    assert_eq!((&labels["orch.managed"], &labels["team"]), (&json!("true"), &json!("shop")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_fails_the_task_and_says_so() {
    let fixture = DockerFixture::new().await;
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = NonZeroU16::new(taken.local_addr().unwrap().port()).unwrap();
    let template = fixture.template(Behaviour::Serve);
    let result = run(&fixture.runtime, &fixture, &template, port, &ResolvedSecrets::default()).await;
    let Err(RuntimeError::Permanent { kind: FailureKind::Port, message }) = result else {
        panic!("{result:?}")
    };
    assert!(message.starts_with("port allocation failed:"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_be_run_fails_the_task() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    template.entrypoint = vec!["/no/such/program".to_owned()];
    // With an init it is the init that starts, and exits with 127.
    template.init = false;
    let result = run(&fixture.runtime, &fixture, &template, free_port(), &ResolvedSecrets::default()).await;
    assert!(matches!(result, Err(RuntimeError::Permanent { kind: FailureKind::Engine, .. })), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_will_not_go_is_killed_after_its_grace() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    template.env.insert("DRAIN_MS".parse().unwrap(), "600000".to_owned());
    let port = free_port();
    let none = ResolvedSecrets::default();
    let id = run(&fixture.runtime, &fixture, &template, port, &none).await.unwrap();
    get(port, "/health").await;
    let policy = StopPolicy { grace: Duration::from_secs(1), ..StopPolicy::default() };
    fixture.runtime.stop(&id, &policy).await.unwrap();
    assert_eq!(exited(&fixture.runtime, &id).await.code, Some(137));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_eats_its_memory_is_told_from_other_deaths() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    template.limits.memory_bytes = 16 << 20;
    // The engine may say it after the exit, and then in its events only.
    let mut events = fixture.runtime.events(&fixture.owner());
    let port = free_port();
    let none = ResolvedSecrets::default();
    let id = run(&fixture.runtime, &fixture, &template, port, &none).await.unwrap();
    get(port, "/health").await;
    let mut stream = TcpStream::connect(("127.0.0.1", port.get())).unwrap();
    write!(stream, "GET /file?path=/dev/zero HTTP/1.1\r\n\r\n").unwrap();
    let told = async {
        loop {
            events.next().await.unwrap();
            if let ContainerState::Exited(exit) = fixture.runtime.inspect(&id).await.unwrap().unwrap().state
                && exit.oom_killed
            {
                return exit;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, told).await.expect("in time").code, Some(137));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_files_on_memory_that_go_with_the_container() {
    let fixture = DockerFixture::new().await;
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let socket = DockerSocket::resolve(None).unwrap();
    let docker = |dir: &Path| {
        let config =
            DockerConfig { socket: socket.clone(), secrets_dir: dir.join("secrets"), ..Default::default() };
        DockerRuntime::new(config)
    };
    let secret = |delivery, value: &[u8]| ResolvedSecret { delivery, value: Secret::new(value.to_vec()) };
    let secrets = ResolvedSecrets {
        values: vec![
            secret(SecretDelivery::File("/run/secrets/db".to_owned()), b"hunter2\n"),
            secret(SecretDelivery::Env("TOKEN".parse().unwrap()), b"t0ken"),
        ],
    };
    let mut template = fixture.template(Behaviour::Serve);
    template.security.user = Some("1234".to_owned());
    let on_memory = docker(memory.path());
    let port = free_port();
    let id = run(&on_memory, &fixture, &template, port, &secrets).await.unwrap();
    assert_eq!(get(port, "/file?path=/run/secrets/db").await, "hunter2\n");
    assert_eq!(get(port, "/env?name=TOKEN").await, "t0ken");
    let (_, found) = engine("GET", &format!("/containers/{id}/json"), &Value::Null);
    assert!(!found.to_string().contains("hunter2"), "an inspection shows no file's content");

    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let task = std::fs::read_dir(memory.path().join("secrets")).unwrap().next().unwrap().unwrap().path();
    assert_eq!((mode(&task), mode(&task.join("1")), mode(&task.join("1/0"))), (0o700, 0o700, 0o400));

    // A runtime made anew learns from the labels which files went with the container.
    docker(memory.path()).remove(&id).await.unwrap();
    assert!(!task.exists());

    let on_disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let result = run(&docker(on_disk.path()), &fixture, &template, free_port(), &secrets).await;
    assert!(matches!(result, Err(RuntimeError::Permanent { kind: FailureKind::Secret, .. })), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bears_no_label_of_ours_is_never_touched() {
    /// Someone else's container; removed whatever happens.
    struct Foreign(String);
    impl Drop for Foreign {
        fn drop(&mut self) {
            engine("DELETE", &format!("/containers/{}?force=1", self.0), &Value::Null);
        }
    }
    let fixture = DockerFixture::new().await;
    let labels = json!({ "orch.cluster_id": fixture.owner().cluster.to_string(), "team": "other" });
    let body = json!({ "Image": fixture.image.as_str(), "Labels": labels });
    let (status, created) = engine("POST", "/containers/create", &body);
    assert_eq!(status, 201, "{created}");
    let foreign = Foreign(created["Id"].as_str().unwrap().to_owned());
    engine("POST", &format!("/containers/{}/start", foreign.0), &Value::Null);

    let id = ContainerId(foreign.0.clone());
    let docker = &fixture.runtime;
    assert!(docker.list(&fixture.owner()).await.unwrap().is_empty());
    assert_eq!(docker.inspect(&id).await.unwrap(), None);
    assert!(docker.stop(&id, &StopPolicy::default()).await.is_err());
    assert!(docker.remove(&id).await.is_err());
    assert!(docker.start(&id).await.is_err());
    let (_, found) = engine("GET", &format!("/containers/{}/json", foreign.0), &Value::Null);
    assert_eq!(found["State"]["Running"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_the_log_bear_their_time_when_asked() {
    let fixture = DockerFixture::new().await;
    let template = fixture.template(Behaviour::Serve);
    let port = free_port();
    let none = ResolvedSecrets::default();
    let id = run(&fixture.runtime, &fixture, &template, port, &none).await.unwrap();
    get(port, "/health").await;
    let read = async |options: LogOptions| {
        let chunks: Vec<_> =
            ContainerLogs::logs(&fixture.runtime, &id, &options).await.unwrap().try_collect().await.unwrap();
        chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes).into_owned()).collect::<String>()
    };
    let timed = read(LogOptions { timestamps: true, ..Default::default() }).await;
    assert_eq!(timed.lines().count(), 2, "{timed}");
    for line in timed.lines() {
        let (time, _) = line.split_once(' ').unwrap();
        orch_core::time::Timestamp::parse_rfc3339(time).unwrap();
    }
    let later = fixture.env().now() + Duration::from_secs(5);
    assert_eq!(read(LogOptions { since: Some(later), ..Default::default() }).await, "");
}

#[test]
fn the_demos_images_are_named_by_version() {
    assert_eq!(demo_image("2").as_str(), "orch-demo/web:2");
}
