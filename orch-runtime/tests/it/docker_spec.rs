//! That a container has what its spec asks for: seen by the engine, and from inside.

use orch_core::name::{Namespace, VolumeName};
use orch_core::runtime::{ContainerRuntime as _, RuntimeError};
use orch_core::secret::ResolvedSecrets;
use orch_core::service::{LogSettings, Mount, MountSource, TaskTemplate, Ulimit, UlimitName};
use orch_core::task::FailureKind;
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture as _};
use orch_runtime::docker::volume_name;
use serde_json::{Value, json};

use crate::docker::{ask, engine, free_port, get, run};
use crate::fixture::DockerFixture;

fn volume(name: &str, read_only: bool) -> Mount {
    let name = name.parse().unwrap();
    Mount { target: "/data".to_owned(), source: MountSource::Volume { name, read_only } }
}

/// Removes the engine's volumes of these names, whatever happens.
struct Volumes(Vec<String>);

impl Volumes {
    fn of(fixture: &DockerFixture, names: &[&str]) -> Self {
        let name = |name: &&str| {
            let volume: VolumeName = name.parse().unwrap();
            volume_name(fixture.owner().cluster, &Namespace::default_namespace(), &volume)
        };
        Self(names.iter().map(name).collect())
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for name in &self.0 {
            engine("DELETE", &format!("/volumes/{name}"), &Value::Null);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_has_the_limits_and_names_of_its_spec() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    let own = &mut template.settings;
    own.hostname = Some("front".to_owned());
    own.pids_limit = std::num::NonZeroU32::new(64);
    own.ulimits.insert(UlimitName::Nofile, Ulimit { soft: Some(512), hard: Some(1024) });
    own.ulimits.insert(UlimitName::Core, Ulimit { soft: Some(0), hard: None });
    own.shm_bytes = Some(8 << 20);
    own.dns.servers = vec!["10.9.9.9".parse().unwrap()];
    own.dns.search = vec!["svc.internal".to_owned()];
    own.dns.options = vec!["ndots:2".to_owned()];
    own.extra_hosts.insert("db.internal".to_owned(), "10.1.2.3".parse().unwrap());
    own.extra_hosts.insert("node.internal".to_owned(), "host-gateway".parse().unwrap());
    own.log = Some(LogSettings {
        driver: "json-file".to_owned(),
        options: [("max-size".to_owned(), "1m".to_owned())].into(),
    });
    template.labels.insert("team".to_owned(), "shop".to_owned());
    let port = free_port();
    let none = ResolvedSecrets::default();
    let id = run(&fixture.runtime, &fixture, &template, port, &none).await.unwrap();

    let (_, found) = engine("GET", &format!("/containers/{id}/json"), &Value::Null);
    let host = &found["HostConfig"];
    assert_eq!(host["PidsLimit"], 64);
    assert_eq!(host["ShmSize"], 8 << 20);
    assert_eq!(
        host["LogConfig"],
        json!({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "5"}})
    );
    assert_eq!(found["Config"]["Labels"]["team"], "shop");
    assert_eq!(found["Config"]["Labels"]["orch.managed"], "true");

    assert!(get(port, "/").await.ends_with(" on front\n"));
    let limits = get(port, "/file?path=/proc/self/limits").await;
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (limit("Max open files"), limit("Max core file size")),
        ("512 1024".into(), "0 unlimited".into())
    );
    let mounts = get(port, "/file?path=/proc/mounts").await;
    assert!(
        mounts.lines().any(|line| line.contains(" /dev/shm ") && line.contains("size=8192k")),
        "{mounts}"
    );
    let hosts = get(port, "/file?path=/etc/hosts").await;
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(["10.1.2.3", "db.internal"])), "{hosts}");
    assert!(hosts.contains("node.internal") && !hosts.contains("host-gateway"), "{hosts}");
    let resolver = get(port, "/file?path=/etc/resolv.conf").await;
    for line in ["nameserver 10.9.9.9", "search svc.internal", "options ndots:2"] {
        assert!(resolver.lines().any(|found| found == line), "{line} in {resolver}");
    }
    let pids = match get_any(port, &["/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"]).await {
        Some(pids) => pids,
        None => panic!("no cgroup tells the limit of processes"),
    };
    assert_eq!(pids.trim(), "64");
}

/// The first of these files that is there.
async fn get_any(port: std::num::NonZeroU16, paths: &[&str]) -> Option<String> {
    for path in paths {
        let (status, body) = ask("GET", port, &format!("/file?path={path}")).await;
        if status == 200 {
            return Some(body);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_bounded_where_nothing_is_said() {
    let fixture = DockerFixture::new().await;
    let template = fixture.template(Behaviour::Serve);
    let none = ResolvedSecrets::default();
    let id = run(&fixture.runtime, &fixture, &template, free_port(), &none).await.unwrap();
    let (_, found) = engine("GET", &format!("/containers/{id}/json"), &Value::Null);
    let expected = json!({"Type": "json-file", "Config": {"max-size": "20m", "max-file": "5"}});
    assert_eq!(found["HostConfig"]["LogConfig"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_does_not_know_is_answered_in_its_own_words() {
    let fixture = DockerFixture::new().await;
    let mut template = fixture.template(Behaviour::Serve);
    let options = [("no-such-option".to_owned(), "1".to_owned())].into();
    template.settings.log = Some(LogSettings { driver: "json-file".to_owned(), options });
    let none = ResolvedSecrets::default();
    let result = run(&fixture.runtime, &fixture, &template, free_port(), &none).await;
    let Err(RuntimeError::Permanent { message, .. }) = result else { panic!("{result:?}") };
    assert!(message.contains("no-such-option"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_its_containers_and_is_shared_by_name() {
    let fixture = DockerFixture::new().await;
    let volumes = Volumes::of(&fixture, &["books"]);
    let writer = TaskTemplate { mounts: vec![volume("books", false)], ..fixture.template(Behaviour::Serve) };
    let reader = TaskTemplate { mounts: vec![volume("books", true)], ..fixture.template(Behaviour::Serve) };
    let none = ResolvedSecrets::default();
    let docker = &fixture.runtime;

    let first = free_port();
    let id = run(docker, &fixture, &writer, first, &none).await.unwrap();
    assert_eq!(ask("POST", first, "/file?path=/data/x&text=kept").await.0, 200);
    docker.remove(&id).await.unwrap();
    let (status, found) = engine("GET", &format!("/volumes/{}", volumes.0[0]), &Value::Null);
    assert_eq!(status, 200, "it is still there: {found}");
    assert_eq!(found["Labels"]["orch.managed"], "true");
    assert_eq!(found["Labels"]["orch.volume"], "books");
    assert_eq!(found["Labels"]["orch.cluster_id"], fixture.owner().cluster.to_string());

    let (second, third) = (free_port(), free_port());
    run(docker, &fixture, &writer, second, &none).await.unwrap();
    run(docker, &fixture, &reader, third, &none).await.unwrap();
    for port in [second, third] {
        assert_eq!(get(port, "/file?path=/data/x").await, "kept");
    }
    assert_eq!(ask("POST", third, "/file?path=/data/x&text=spoilt").await.0, 503, "read-only is read-only");
    assert_eq!(ask("POST", second, "/file?path=/data/x&text=more").await.0, 200);
    assert_eq!(get(third, "/file?path=/data/x").await, "more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_without_our_labels_is_someone_elses() {
    let fixture = DockerFixture::new().await;
    let volumes = Volumes::of(&fixture, &["theirs"]);
    let body = json!({ "Name": volumes.0[0], "Labels": { "team": "other" } });
    assert_eq!(engine("POST", "/volumes/create", &body).0, 201);
    let template =
        TaskTemplate { mounts: vec![volume("theirs", false)], ..fixture.template(Behaviour::Serve) };
    let none = ResolvedSecrets::default();
    let result = run(&fixture.runtime, &fixture, &template, free_port(), &none).await;
    let Err(RuntimeError::Permanent { kind: FailureKind::Forbidden, message }) = result else {
        panic!("{result:?}")
    };
    assert!(message.contains(&volumes.0[0]), "{message}");
    let (_, found) = engine("GET", &format!("/volumes/{}", volumes.0[0]), &Value::Null);
    assert_eq!(found["Labels"], json!({ "team": "other" }));
    assert!(fixture.runtime.list(&fixture.owner()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tmpfs_is_the_one_place_to_write_of_a_container_that_is_read_only() {
    let fixture = DockerFixture::new().await;
    let source = MountSource::Tmpfs { size_bytes: Some(1 << 20), mode: Some(0o700) };
    let mut template = fixture.template(Behaviour::Serve);
    template.mounts = vec![Mount { target: "/scratch".to_owned(), source }];
    template.security.read_only_root = true;
    let port = free_port();
    run(&fixture.runtime, &fixture, &template, port, &ResolvedSecrets::default()).await.unwrap();
    let mounts = get(port, "/file?path=/proc/mounts").await;
    let line = mounts.lines().find(|line| line.contains(" /scratch ")).unwrap();
    assert!(line.starts_with("tmpfs ") && line.contains("size=1024k") && line.contains("mode=700"), "{line}");
    assert_eq!(ask("POST", port, "/file?path=/scratch/x&text=y").await.0, 200);
    assert_eq!(ask("POST", port, "/file?path=/x&text=y").await.0, 503);
}
