//! Where the engine listens.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The engine's unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerSocket(PathBuf);

/// A `DOCKER_HOST` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "DOCKER_HOST is `{0}`, but orch speaks with engines on this machine only: use unix:///path/to/docker.sock"
)]
pub struct InvalidDockerHost(String);

impl DockerSocket {
    /// Where engines listen by default.
    pub const DEFAULT: &'static str = "/var/run/docker.sock";

    /// The socket at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The explicit path if there is one, else what `DOCKER_HOST` says, else [`DockerSocket::DEFAULT`].
    ///
    /// # Errors
    /// `DOCKER_HOST` is used, and names no unix socket.
    pub fn resolve(explicit: Option<&Path>) -> Result<Self, InvalidDockerHost> {
        match explicit {
            Some(path) => Ok(Self::at(path)),
            None => Self::from_docker_host(std::env::var_os("DOCKER_HOST")),
        }
    }

    fn from_docker_host(value: Option<OsString>) -> Result<Self, InvalidDockerHost> {
        let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(Self::default()) };
        let text = value.to_string_lossy();
        match text.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(Self::at(path)),
            _ => Err(InvalidDockerHost(text.into_owned())),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for DockerSocket {
    fn default() -> Self {
        Self::at(Self::DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_names_a_unix_socket_or_is_refused_with_what_would_be_right() {
        let read = |text: &str| DockerSocket::from_docker_host(Some(text.into()));
        assert_eq!(DockerSocket::from_docker_host(None).unwrap().path(), Path::new("/var/run/docker.sock"));
        assert_eq!(read("").unwrap(), DockerSocket::default());
        assert_eq!(
            read("unix:///run/user/1/docker.sock").unwrap().path(),
            Path::new("/run/user/1/docker.sock")
        );
        for bad in ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://relative"] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("unix:///"), "{error}");
        }
    }

    #[test]
    fn an_explicit_path_comes_first() {
        assert_eq!(DockerSocket::resolve(Some(Path::new("/x.sock"))).unwrap(), DockerSocket::at("/x.sock"));
    }
}
