//! Puts the demo web server onto this machine's Docker Engine as images, or takes them off again; no docker command and
//! no registry needed:
//! `cargo run -p orch-runtime --features testing --example demo-image -- import 1 2` and `… -- remove 1 2`.
#![forbid(unsafe_code)]

use std::error::Error;

use orch_runtime::docker::{DockerConfig, DockerRuntime, DockerSocket};
use orch_runtime::testing::{build_demo_server, demo_image, import_demo_image};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "a command says what it did")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (verb, versions) = match arguments.split_first() {
        Some((verb, versions)) if !versions.is_empty() => (verb.as_str(), versions),
        _ => return Err("usage: demo-image import|remove VERSION…".into()),
    };
    let socket = DockerSocket::resolve(None)?;
    let docker = DockerRuntime::new(DockerConfig { socket, ..DockerConfig::default() });
    match verb {
        "import" => {
            let server = build_demo_server().await?;
            for version in versions {
                let image = demo_image(version);
                let id = import_demo_image(&docker, &server, &image, version).await?;
                println!("{image} is {id}");
            }
        }
        "remove" => {
            for version in versions {
                docker.remove_image(&demo_image(version)).await?;
                println!("{} is removed", demo_image(version));
            }
        }
        other => return Err(format!("`{other}`: import or remove").into()),
    }
    Ok(())
}
