//! Registries on this machine's loopback, which engines trust without TLS: Debian's `docker-registry`, and one that only
//! ever says the same.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_core::service::{ImageDigest, ImageRef};
use orch_runtime::docker::{DockerRuntime, DockerSocket};
use orch_runtime::testing::tar_of_one;
use serde_json::{Value, json};

use crate::docker::{engine, free_port};

pub(crate) const USER: &str = "orch";
pub(crate) const PASSWORD: &str = "canary-5d1c-password";
/// `htpasswd -nbB orch canary-5d1c-password`; registries take bcrypt only.
const HTPASSWD: &str = "orch:$2y$05$YfhdsHLmqN1p.Gu69Qzw6OmCXrP.w63BM2D05cg.Jy7fl6xL8rv9u";

/// A registry, and the images of one test in it and on the engine. All of it goes with this.
pub(crate) struct Registry {
    port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One that asks for [`USER`] and [`PASSWORD`].
    pub(crate) fn locked() -> Self {
        Self::with("auth:\n  htpasswd:\n    realm: orch\n    path: FOLDER/htpasswd\n")
    }

    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, path) = (free_port().get(), folder.path().display().to_string());
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: FOLDER/data\nhttp:\n  addr: 127.0.0.1:{port}\n{more}"
        );
        fs::write(folder.path().join("config.yml"), config.replace("FOLDER", &path)).unwrap();
        fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let mut registry = Self { port, folder, process: None };
        registry.start_again();
        registry
    }

    pub(crate) fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("these tests need Debian's docker-registry");
        self.process = Some(process);
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < end, "the registry does not listen: {}", self.log());
            std::thread::yield_now();
        }
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// All that it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// An image of it: `web`, with that tag or digest, such as `:1`.
    pub(crate) fn image(&self, rest: &str) -> ImageRef {
        format!("{}/orch-test/web{rest}", self.host()).parse().unwrap()
    }

    /// Makes an image that is nowhere else, pushes it as `tag` and takes it off the engine. Answers its id and its digest at
    /// the registry.
    pub(crate) async fn publish(&self, docker: &DockerRuntime, tag: &str) -> (ImageDigest, String) {
        let image = self.image(&format!(":{tag}"));
        let content = format!("{}{tag}", self.folder.path().display());
        let id = docker.import_image(&image, tar_of_one("file", content.as_bytes()), &[]).await.unwrap();
        let digest = self.push(tag);
        self.forget(&format!(":{tag}"));
        (id, digest)
    }

    /// Has the engine push `web:tag`, which it has. Answers the digest.
    fn push(&self, tag: &str) -> String {
        let login = json!({ "username": USER, "password": PASSWORD, "serveraddress": self.host() });
        let mut stream = UnixStream::connect(DockerSocket::resolve(None).unwrap().path()).unwrap();
        write!(
            stream,
            "POST /v1.41/images/{}/orch-test/web/push?tag={tag} HTTP/1.0\r\nx-registry-auth: {}\r\n\r\n",
            self.host(),
            STANDARD.encode(login.to_string())
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let items = answer.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut digests = items.filter_map(|item| Some(item["aux"]["Digest"].as_str()?.to_owned()));
        digests.next_back().unwrap_or_else(|| panic!("not pushed: {answer}"))
    }

    /// Takes a reference off the engine, if it is there.
    pub(crate) fn forget(&self, rest: &str) {
        engine("DELETE", &format!("/images/{}", self.image(rest)), &Value::Null);
    }

    /// The file that holds the one layer of the one image that was published.
    pub(crate) fn layer(&self) -> PathBuf {
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        let folders =
            fs::read_dir(blobs).unwrap().flat_map(|prefix| fs::read_dir(prefix.unwrap().path()).unwrap());
        let files = folders.map(|blob| blob.unwrap().path().join("data"));
        let mut layers = files.filter(|file| fs::read(file).unwrap().starts_with(&[0x1f, 0x8b]));
        let layer = layers.next().expect("a layer is compressed");
        assert_eq!(layers.next(), None);
        layer
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
        let (_, images) = engine("GET", "/images/json", &Value::Null);
        let ours = format!("{}/", self.host());
        for image in images.as_array().into_iter().flatten() {
            let names =
                ["RepoTags", "RepoDigests"].map(|key| image[key].as_array().cloned().unwrap_or_default());
            for name in
                names.iter().flatten().filter_map(Value::as_str).filter(|name| name.starts_with(&ours))
            {
                engine("DELETE", &format!("/images/{name}"), &Value::Null);
            }
        }
    }
}

/// What a [`Stub`] does with every request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stub {
    /// It was asked too much, and should be asked again in 7 s.
    TooMany,
    /// It never answers.
    Silent,
}

/// A registry that only ever does one thing.
pub(crate) struct StubRegistry {
    pub(crate) host: String,
    requests: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl StubRegistry {
    pub(crate) fn start(stub: Stub) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (requests, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, ended) = (Arc::clone(&requests), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                match stub {
                    Stub::Silent => held.push(stream),
                    Stub::TooMany => too_many(&mut stream),
                }
            }
        });
        Self { host, requests, over, thread: Some(thread) }
    }

    /// How many connections there were.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Answers one request. Engines try TLS first, and go on without it where the answer is plain HTTP.
fn too_many(stream: &mut TcpStream) {
    const BODY: &str = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
    let mut request = [0; 8192];
    let read = stream.read(&mut request).unwrap_or(0);
    let request = &request[..read];
    let answer = if request.starts_with(b"GET /v2/ ") {
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".to_owned()
    } else {
        format!(
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{}",
            BODY.len(),
            if request.starts_with(b"HEAD") { "" } else { BODY }
        )
    };
    // Who does not wait for the answer has gone.
    stream.write_all(answer.as_bytes()).ok();
}

impl Drop for StubRegistry {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        TcpStream::connect(&self.host).ok();
        self.thread.take().map(JoinHandle::join);
    }
}
