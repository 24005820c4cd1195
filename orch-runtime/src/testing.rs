//! The demo web server as an image, made without a registry and without a docker command: for tests, benchmarks and the
//! demo.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orch_core::runtime::RuntimeError;
use orch_core::service::{ImageDigest, ImageRef};
use tokio::process::Command;

use crate::docker::DockerRuntime;

/// Where the server is in its image.
pub const DEMO_PROGRAM: &str = "/web";

/// The name of the demo's image in that version.
#[must_use]
pub fn demo_image(version: &str) -> ImageRef {
    format!("orch-demo/web:{version}").parse().expect("a version is a tag")
}

/// Builds the demo web server, linked statically, and answers where it is. Quick where it was built before.
///
/// # Errors
/// There is no cargo, or it fails; its words are in the error.
pub async fn build_demo_server() -> io::Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target_dir = workspace.join("target/static");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "orch-demo-web", "--target", &target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(workspace)
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(target_dir.join(target).join("release/orch-demo-web"))
}

/// Imports the server as `image`, which says `version` when asked; answers the image's content address.
///
/// # Errors
/// The engine cannot be reached or refuses the import; or the server's file cannot be read.
pub async fn import_demo_image(
    docker: &DockerRuntime,
    server: &Path,
    image: &ImageRef,
    version: &str,
) -> Result<ImageDigest, RuntimeError> {
    let program = tokio::fs::read(server).await.map_err(|error| RuntimeError::Unreachable(error.into()))?;
    let changes = [
        format!("ENTRYPOINT [\"{DEMO_PROGRAM}\"]"),
        format!("ENV VERSION={version}"),
        "EXPOSE 8080".to_owned(),
    ];
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    docker.import_image(image, tar_of_one("web", &program), &changes).await
}

/// Where Debian's `busybox-static` puts its program: a shell and small tools in one static file.
pub const BUSYBOX: &str = "/bin/busybox";

/// Imports busybox as `image`, whose only file it is, as `/busybox`.
///
/// # Errors
/// The machine has no [`BUSYBOX`], or the engine cannot be reached or refuses the import.
pub async fn import_busybox(docker: &DockerRuntime, image: &ImageRef) -> Result<ImageDigest, RuntimeError> {
    let program = tokio::fs::read(BUSYBOX).await.map_err(|error| RuntimeError::Unreachable(error.into()))?;
    docker.import_image(image, tar_of_one("busybox", &program), &["CMD [\"/busybox\", \"sh\"]"]).await
}

/// A tar archive (ustar) of one executable file.
#[must_use]
pub fn tar_of_one(name: &str, content: &[u8]) -> Bytes {
    const BLOCK: usize = 512;
    let mut header = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000755\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = content.len().next_multiple_of(BLOCK) - content.len();
    let mut tar = Vec::with_capacity(content.len() + 4 * BLOCK);
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    // The archive ends with two empty blocks.
    tar.resize(tar.len() + padding + 2 * BLOCK, 0);
    tar.into()
}
