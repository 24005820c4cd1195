//! What a test has of its own: an owner, and an image on the engine. All of it goes with the fixture.

use std::path::{Path, PathBuf};
use std::time::Duration;

use orch_core::env::{EnvExt as _, SharedEnv, SystemEnv};
use orch_core::id::IdStream;
use orch_core::runtime::{ContainerRuntime, Owner};
use orch_core::service::{ImageRef, StopPolicy, TaskTemplate};
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture};
use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use orch_runtime::testing::{build_demo_server, import_demo_image};
use tokio::sync::OnceCell;

/// The demo server, built once a test run.
pub(crate) async fn server() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    BUILT.get_or_init(async || build_demo_server().await.expect("the demo server builds")).await.clone()
}

/// An owner that no other test has.
pub(crate) fn fresh_owner() -> Owner {
    let mut ids = IdStream::seeded(SystemEnv::new().random_u64());
    Owner { cluster: ids.next(), node: ids.next() }
}

/// A template without wishes, and with little patience.
pub(crate) fn template(image: &ImageRef) -> TaskTemplate {
    let stop = StopPolicy { grace: Duration::from_secs(5), ..StopPolicy::default() };
    TaskTemplate { stop, ..TaskTemplate::new(image.clone()) }
}

/// With the environment that makes the demo server behave so.
pub(crate) fn behaving(mut template: TaskTemplate, behaviour: Behaviour) -> TaskTemplate {
    if behaviour == Behaviour::Fail {
        template.env.insert("FAIL_AFTER_MS".parse().expect("a name"), "0".to_owned());
    }
    template
}

/// Removes every container of the owners, and then what `last` says. Works while a test panics: on a thread and a tokio
/// of its own.
pub(crate) fn clean_up<R: ContainerRuntime>(
    make: impl FnOnce() -> R + Send + 'static,
    owners: [Owner; 2],
    last: impl AsyncFnOnce(R) + Send + 'static,
) {
    let work = move || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
        tokio.block_on(async move {
            let runtime = make();
            for owner in owners {
                for container in runtime.list(&owner).await.expect("the runtime lists") {
                    runtime.remove(&container.id).await.expect("the container is removed");
                }
            }
            last(runtime).await;
        });
    };
    let done = std::thread::spawn(work).join();
    if !std::thread::panicking() {
        done.expect("the test cleans up");
    }
}

/// A runtime on the machine's engine.
pub(crate) struct DockerFixture {
    pub(crate) runtime: DockerRuntime,
    pub(crate) image: ImageRef,
    owner: Owner,
}

pub(crate) fn docker() -> DockerRuntime {
    let socket = DockerSocket::resolve(None).expect("DOCKER_HOST names a socket");
    DockerRuntime::new(DockerConfig { socket, ..DockerConfig::default() })
}

impl DockerFixture {
    pub(crate) async fn new() -> Self {
        let (runtime, owner) = (docker(), fresh_owner());
        runtime.info().await.expect("these tests need a Docker Engine");
        let image: ImageRef = format!("orch-test/{}:1", owner.cluster).parse().expect("an image");
        let fixture = Self { runtime, image, owner };
        let imported = import_demo_image(&fixture.runtime, &server().await, &fixture.image, "1").await;
        imported.expect("the image is imported");
        fixture
    }
}

impl RuntimeFixture for DockerFixture {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn reopened(&self) -> Box<dyn ContainerRuntime> {
        Box::new(docker())
    }

    fn owner(&self) -> Owner {
        self.owner
    }

    fn env(&self) -> SharedEnv {
        SystemEnv::shared()
    }

    fn template(&self, behaviour: Behaviour) -> TaskTemplate {
        behaving(template(&self.image), behaviour)
    }
}

impl Drop for DockerFixture {
    fn drop(&mut self) {
        let image = self.image.clone();
        clean_up(docker, [self.owner, self.neighbour()], async move |runtime: DockerRuntime| {
            runtime.remove_image(&image).await.expect("the image is removed");
        });
    }
}

/// A runtime of processes with a state folder of its own.
pub(crate) struct ProcessFixture {
    pub(crate) runtime: ProcessRuntime,
    pub(crate) state: tempfile::TempDir,
    owner: Owner,
    server: PathBuf,
}

impl ProcessFixture {
    pub(crate) async fn new() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        let runtime = processes(state.path());
        Self { runtime, state, owner: fresh_owner(), server: server().await }
    }
}

pub(crate) fn processes(state: &Path) -> ProcessRuntime {
    ProcessRuntime::new(ProcessConfig { state_dir: state.to_owned() }).expect("the folder is there")
}

impl RuntimeFixture for ProcessFixture {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn reopened(&self) -> Box<dyn ContainerRuntime> {
        Box::new(processes(self.state.path()))
    }

    fn owner(&self) -> Owner {
        self.owner
    }

    fn env(&self) -> SharedEnv {
        SystemEnv::shared()
    }

    fn template(&self, behaviour: Behaviour) -> TaskTemplate {
        let mut template = template(&"process/web".parse().expect("an image"));
        template.command = vec![self.server.to_str().expect("a path in UTF-8").to_owned()];
        // Any free port.
        template.env.insert("PORT".parse().expect("a name"), "0".to_owned());
        behaving(template, behaviour)
    }
}

impl Drop for ProcessFixture {
    fn drop(&mut self) {
        let state = self.state.path().to_owned();
        clean_up(move || processes(&state), [self.owner, self.neighbour()], async |_| {});
    }
}
