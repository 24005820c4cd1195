//! Paths of the node inside containers. The engine's socket is never one of them: who has it has the node.

use std::path::{Path, PathBuf};

use orch_core::runtime::RuntimeError;
use orch_core::service::HostMount;
use orch_core::task::FailureKind;
use serde::Serialize;

use super::socket::DockerSocket;

/// A mount, as the engine is asked for it. The source of a bind mount must exist: the engine does not make it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<PathBuf>,
    target: String,
    read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tmpfs_options: Option<TmpfsOptions>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TmpfsOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
}

impl Mount {
    pub(super) fn read_only(source: PathBuf, target: String) -> Self {
        Self::bind(source, target, true)
    }

    fn bind(source: PathBuf, target: String, read_only: bool) -> Self {
        Self { kind: "bind", source: Some(source), target, read_only, tmpfs_options: None }
    }

    pub(super) fn volume(name: String, target: String, read_only: bool) -> Self {
        Self { kind: "volume", source: Some(name.into()), target, read_only, tmpfs_options: None }
    }

    pub(super) fn tmpfs(target: String, size_bytes: Option<u64>, mode: Option<u32>) -> Self {
        let tmpfs_options = Some(TmpfsOptions { size_bytes, mode });
        Self { kind: "tmpfs", source: None, target, read_only: false, tmpfs_options }
    }
}

/// Sockets that command the node's containers, besides the one that is configured.
const SOCKETS: [&str; 4] = [
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
];

/// The mounts that a spec asks for. Whether the policy allows them was decided before; the engine's socket, or a folder
/// that holds it, is refused here whatever the policy says.
pub(super) fn of_the_host(wanted: &[HostMount], socket: &DockerSocket) -> Result<Vec<Mount>, RuntimeError> {
    wanted
        .iter()
        .map(|mount| {
            // What the engine is given is what was looked at: links are followed here, not there.
            let source = real(Path::new(&mount.host_path));
            let holds_a_socket = std::iter::once(socket.path())
                .chain(SOCKETS.iter().map(Path::new))
                .any(|socket| real(socket).starts_with(&source));
            if holds_a_socket {
                let message = format!("the mount {} holds the container engine's socket", mount.host_path);
                return Err(RuntimeError::permanent(FailureKind::Forbidden, message));
            }
            Ok(Mount::bind(source, mount.container_path.clone(), mount.read_only))
        })
        .collect()
}

/// The path with links followed, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(path: &Path) -> HostMount {
        HostMount {
            host_path: path.to_str().unwrap().to_owned(),
            container_path: "/x".to_owned(),
            read_only: true,
        }
    }

    #[test]
    fn the_engines_socket_is_refused_by_every_name_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let socket = DockerSocket::at(dir.path().join("engine/docker.sock"));
        std::fs::create_dir(dir.path().join("engine")).unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        std::fs::write(socket.path(), "").unwrap();
        std::os::unix::fs::symlink(socket.path(), dir.path().join("link")).unwrap();
        for refused in ["engine/docker.sock", "engine", "link", "."] {
            let path = dir.path().join(refused);
            let result = of_the_host(&[mount(&path)], &socket);
            assert!(
                matches!(result, Err(RuntimeError::Permanent { kind: FailureKind::Forbidden, .. })),
                "{refused}"
            );
        }
        for refused in ["/", "/run", "/var/run/docker.sock"] {
            assert!(of_the_host(&[mount(Path::new(refused))], &socket).is_err(), "{refused}");
        }
        assert_eq!(of_the_host(&[mount(&dir.path().join("data"))], &socket).unwrap().len(), 1);
    }
}
