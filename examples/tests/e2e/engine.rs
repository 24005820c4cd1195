//! The Docker Engine, asked behind orch's back.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use orch_core::runtime::ContainerLabels;
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::{build_demo_server, import_busybox, import_demo_image};
use serde_json::{Value, json};

use crate::http;

/// A container as the engine inspects it.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) node: String,
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) started: String,
    pub(crate) whole: Value,
}

fn socket() -> DockerSocket {
    DockerSocket::resolve(None).expect("DOCKER_HOST names a socket")
}

/// Where the engine listens.
pub(crate) fn socket_path() -> std::path::PathBuf {
    socket().path().to_owned()
}

fn ask(method: &str, target: &str) -> (u16, String) {
    let stream = UnixStream::connect(socket().path()).expect("these tests need a Docker Engine");
    http::exchange(stream, method, target).expect("the engine answers")
}

fn query(value: &Value) -> String {
    value.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn labelled(cluster: &str) -> Value {
    json!({ "label": [format!("{}={cluster}", ContainerLabels::CLUSTER)] })
}

/// A connection to the engine.
pub(crate) fn connect() -> std::io::Result<UnixStream> {
    UnixStream::connect(socket().path())
}

/// Gives an image another name.
pub(crate) fn tag(image: &str, repository: &str, tag: &str) {
    let (status, body) = ask("POST", &format!("/images/{image}/tag?repo={repository}&tag={tag}"));
    assert_eq!(status, 201, "{body}");
}

/// Whether some image bears the name.
pub(crate) fn has_image(name: &str) -> bool {
    ask("GET", &format!("/images/{name}/json")).0 == 200
}

/// Takes a name off an image.
pub(crate) fn forget(image: &str) {
    let (status, body) = ask("DELETE", &format!("/images/{image}?noprune=1"));
    assert_eq!(status, 200, "{body}");
}

/// Takes every name that begins so off the engine's images. Does not panic: a test may be at that already.
pub(crate) fn forget_all(prefix: &str) {
    let quietly = |method: &str, target: &str| http::exchange(connect()?, method, target);
    let list = quietly("GET", "/images/json")
        .ok()
        .and_then(|(_, body)| serde_json::from_str::<Vec<Value>>(&body).ok());
    for image in list.unwrap_or_default() {
        let names = ["RepoTags", "RepoDigests"].map(|key| image[key].as_array().cloned().unwrap_or_default());
        for name in names.iter().flatten().map(text).filter(|name| name.starts_with(prefix)) {
            let _ = quietly("DELETE", &format!("/images/{name}?force=1"));
        }
    }
}

/// Ids of the cluster's containers, ended ones too.
pub(crate) fn all(cluster: &str) -> Vec<String> {
    let (status, body) = ask("GET", &format!("/containers/json?all=1&filters={}", query(&labelled(cluster))));
    assert_eq!(status, 200, "{body}");
    let list: Vec<Value> = serde_json::from_str(&body).unwrap();
    list.iter().map(|container| text(&container["Id"])).collect()
}

/// Removes a volume, as an operator would: the engine's status.
pub(crate) fn remove_volume(name: &str) -> u16 {
    ask("DELETE", &format!("/volumes/{name}")).0
}

/// The cluster's running containers by id.
pub(crate) fn running(cluster: &str) -> BTreeMap<String, Container> {
    let mut running = BTreeMap::new();
    for id in all(cluster) {
        let (status, body) = ask("GET", &format!("/containers/{id}/json"));
        // It may go between the two calls.
        if status != 200 {
            continue;
        }
        let whole: Value = serde_json::from_str(&body).unwrap();
        let labels = &whole["Config"]["Labels"];
        let container = Container {
            id: id.clone(),
            node: text(&labels[ContainerLabels::NODE]),
            task: text(&labels["orch.task_id"]),
            attempt: text(&labels["orch.attempt"]).parse().unwrap(),
            started: text(&whole["State"]["StartedAt"]),
            whole,
        };
        if container.whole["State"]["Running"] == true {
            running.insert(id, container);
        }
    }
    running
}

/// Kills a container as a crash would.
pub(crate) fn kill(id: &str) {
    let (status, body) = ask("POST", &format!("/containers/{id}/kill?signal=KILL"));
    assert_eq!(status, 204, "{body}");
}

/// The same to one that may have ended since it was seen.
pub(crate) fn kill_if_running(id: &str) {
    let (status, body) = ask("POST", &format!("/containers/{id}/kill?signal=KILL"));
    assert!(matches!(status, 204 | 404 | 409), "{status}: {body}");
}

/// What happened to the cluster's containers up to now, in order: `start` and `die`.
pub(crate) fn history(cluster: &str, since: i64) -> Vec<(String, String)> {
    let mut filters = labelled(cluster);
    filters["event"] = json!(["start", "die"]);
    let until = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let (status, body) =
        ask("GET", &format!("/events?since={since}&until={until:.9}&filters={}", query(&filters)));
    assert_eq!(status, 200, "{body}");
    let events = body.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| (text(&event["Action"]), text(&event["Actor"]["ID"]))).collect()
}

/// Puts the demo server on the engine under `name`, as versions 1 and 2.
pub(crate) fn import(name: &str) {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio.block_on(async {
        let server = build_demo_server().await.expect("the demo server builds");
        let docker = DockerRuntime::new(DockerConfig { socket: socket(), ..DockerConfig::default() });
        for version in ["1", "2"] {
            let image = format!("{name}:{version}").parse().unwrap();
            import_demo_image(&docker, &server, &image, version).await.expect("the image is imported");
        }
    });
}

/// Puts busybox on the engine as `name`, version `busybox`.
pub(crate) fn import_shell(name: &str) -> String {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let image = format!("{name}:busybox");
    tokio.block_on(async {
        let docker = DockerRuntime::new(DockerConfig { socket: socket(), ..DockerConfig::default() });
        import_busybox(&docker, &image.parse().unwrap()).await.expect("the image is imported");
    });
    image
}

/// How many lines the engine keeps of a container's log.
pub(crate) fn lines_of(id: &str) -> usize {
    let (status, body) = ask("GET", &format!("/containers/{id}/logs?stdout=1"));
    assert_eq!(status, 200, "{body}");
    body.matches('\n').count()
}

/// Removes the cluster's containers and the image, whatever state they are in. Does not panic: a test may be at that already.
pub(crate) fn clear(cluster: Option<&str>, image: &str) {
    let quietly = |method: &str, target: &str| {
        let stream = UnixStream::connect(socket().path())?;
        http::exchange(stream, method, target)
    };
    if let Some(cluster) = cluster {
        let list = quietly("GET", &format!("/containers/json?all=1&filters={}", query(&labelled(cluster))));
        let list = list.ok().and_then(|(_, body)| serde_json::from_str::<Vec<Value>>(&body).ok());
        for container in list.unwrap_or_default() {
            let _ = quietly("DELETE", &format!("/containers/{}?force=1", text(&container["Id"])));
        }
    }
    for version in ["1", "2", "busybox"] {
        let _ = quietly("DELETE", &format!("/images/{image}:{version}"));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
