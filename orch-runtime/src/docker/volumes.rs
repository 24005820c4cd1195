//! Volumes of ours: made when a task first names them, with our labels, and never removed with a task.
//!
//! A volume is one node's, and one namespace's: tasks of the namespace that name it on the node share it. A volume of the
//! same name that does not bear our labels is someone else's, and is never mounted.

use std::collections::BTreeMap;

use hyper::Method;
use orch_core::id::ClusterId;
use orch_core::name::{Namespace, VolumeName};
use orch_core::runtime::{ContainerLabels, CreateRequest, RuntimeError};
use orch_core::service::MountSource;
use orch_core::task::FailureKind;
use serde::{Deserialize, Serialize};

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;
use super::mounts::Mount;

/// The label that holds a volume's namespace.
const NAMESPACE: &str = "orch.namespace";
/// The label that holds its name within that.
const VOLUME: &str = "orch.volume";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wanted<'a> {
    name: &'a str,
    driver: &'static str,
    labels: &'a BTreeMap<&'static str, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    labels: Option<BTreeMap<String, String>>,
}

impl DockerRuntime {
    /// The mounts that a template asks for, its volumes made where they are missing.
    pub(super) async fn template_mounts(
        &self,
        request: &CreateRequest<'_>,
    ) -> Result<Vec<Mount>, RuntimeError> {
        let mut mounts = Vec::new();
        for mount in &request.template.mounts {
            let target = mount.target.clone();
            mounts.push(match &mount.source {
                MountSource::Tmpfs { size_bytes, mode } => Mount::tmpfs(target, *size_bytes, *mode),
                MountSource::Volume { name, read_only } => {
                    let cluster = request.labels.cluster;
                    let source = self.ensure_volume(cluster, request.namespace, name).await?;
                    Mount::volume(source, target, *read_only)
                }
            });
        }
        Ok(mounts)
    }

    /// The engine's name of a volume that is there and ours.
    async fn ensure_volume(
        &self,
        cluster: ClusterId,
        namespace: &str,
        volume: &VolumeName,
    ) -> Result<String, RuntimeError> {
        let name = engine_name(cluster, namespace, volume);
        let labels: BTreeMap<_, _> = [
            (ContainerLabels::MANAGED, "true".to_owned()),
            (ContainerLabels::CLUSTER, cluster.to_string()),
            (NAMESPACE, namespace.to_owned()),
            (VOLUME, volume.to_string()),
        ]
        .into();
        let client = self.client();
        let call = async {
            let session = client.session().await?;
            let there = session.path(&format!("/volumes/{name}"));
            match client.engine.json::<Found>(Method::GET, &there, Payload::Empty).await {
                Err(EngineError::Answer { status: 404, .. }) => {}
                found => return found,
            }
            // Made twice at the same time, both are answered the one that is there.
            let wanted = Wanted { name: &name, driver: "local", labels: &labels };
            let body = serde_json::to_vec(&wanted).expect("a body is plain data");
            let path = session.path("/volumes/create");
            client.engine.json(Method::POST, &path, Payload::Json(body)).await
        };
        let found = client.run("volume", DEADLINE, call).await?.labels.unwrap_or_default();
        let is_ours = labels.iter().all(|(key, value)| found.get(*key) == Some(value));
        if !is_ours {
            let message = format!("the volume {name} does not bear this cluster's labels and is left alone");
            return Err(RuntimeError::permanent(FailureKind::Forbidden, message));
        }
        Ok(name)
    }
}

/// The name that a volume has on the engine. Namespace and volume are DNS labels, so that no two of them share one.
#[must_use]
pub fn volume_name(cluster: ClusterId, namespace: &Namespace, volume: &VolumeName) -> String {
    engine_name(cluster, namespace.as_str(), volume)
}

fn engine_name(cluster: ClusterId, namespace: &str, volume: &VolumeName) -> String {
    format!("orch.{cluster}.{namespace}.{volume}")
}
