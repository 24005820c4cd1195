//! Debian's `docker-registry` on this machine's loopback, which engines trust without TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::engine;
use crate::poll::until;
use crate::site::free_port;

/// A registry. Its process, and what the engine has of it, go with this.
pub(crate) struct Registry {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Registry {
    pub(crate) fn start() -> Self {
        let (port, folder) = (free_port(), TempDir::with_prefix("orch-e2e-registry-").unwrap());
        let file = folder.path().join("config.yml");
        let data = folder.path().join("data");
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            data.display()
        );
        std::fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need Debian's docker-registry");
        until("the registry listens", || TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
        Self { port, process, _folder: folder }
    }

    /// Its image `web` with that tag.
    pub(crate) fn image(&self, tag: &str) -> String {
        format!("127.0.0.1:{}/web:{tag}", self.port)
    }

    /// Has the tag mean an image that is on the engine, there and here, from now on.
    pub(crate) fn publish(&self, image: &str, tag: &str) {
        let repository = format!("127.0.0.1:{}/web", self.port);
        engine::tag(image, &repository, tag);
        let mut stream = engine::connect().unwrap();
        // `e30=` is `{}`: nobody has to log in.
        write!(
            stream,
            "POST /v1.41/images/{repository}/push?tag={tag} HTTP/1.0\r\nHost: docker\r\nX-Registry-Auth: e30=\r\n\
             Content-Length: 0\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"Digest\""), "not pushed: {answer}");
    }

    /// Takes a tag off the engine, so that it must be pulled.
    pub(crate) fn forget(&self, tag: &str) {
        engine::forget(&self.image(tag));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
        engine::forget_all(&format!("127.0.0.1:{}/", self.port));
    }
}
