//! The versions of a service, on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pin::ImagePin;
use super::plan::FieldChange;
use super::{Time, is_false};
use crate::cluster::Cluster;
use crate::service::difference::field_changes;
use crate::service::{self, ServiceRevision};

/// The versions of a service that are kept, newest first. The oldest go once nothing refers to them and ten newer spare ones are
/// there.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct HistoryAnswer {
    /// Which service.
    pub service_id: String,
    /// The versions.
    pub versions: Vec<VersionView>,
}

/// One version of a service.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct VersionView {
    /// Its number: what `to_version` of a rollback takes.
    pub version: u32,
    /// The service is at it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub current: bool,
    /// The image.
    pub image: String,
    /// Which bytes it runs; left out until an agent had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pin: Option<ImagePin>,
    /// Who made it; left out where that was not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// How far its newest rollout came; left out where that is forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Why that ended as it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What differs from the version before it that is kept.
    pub changes: Vec<FieldChange>,
}

impl HistoryAnswer {
    /// As an image shows it.
    #[must_use]
    pub fn view(cluster: &Cluster, service: &service::Service) -> Self {
        let kept: Vec<_> = cluster.service_revisions(service.id).collect();
        let deployments = cluster.deployments_of(service.id);
        let view = |(at, revision): (usize, &&std::sync::Arc<ServiceRevision>)| {
            let newest = deployments.iter().rfind(|rollout| rollout.to_version == revision.version);
            let before = at.checked_sub(1).and_then(|before| kept.get(before));
            let changes = before.map(|before| field_changes(&before.spec, &revision.spec));
            VersionView {
                version: revision.version.0,
                current: revision.version == service.version,
                image: revision.spec.template.image.to_string(),
                image_pin: ImagePin::of(revision),
                by: revision.by.clone(),
                created_at: revision.created_at.into(),
                status: newest.map(|rollout| rollout.status.as_str().to_owned()),
                reason: newest.and_then(|rollout| rollout.reason.clone()),
                changes: changes.unwrap_or_default().into_iter().map(Into::into).collect(),
            }
        };
        let versions = kept.iter().enumerate().map(view).rev().collect();
        Self { service_id: service.id.to_string(), versions }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CreateService, RollBack, RollOut};
    use crate::name::Namespace;
    use crate::testing::{World, web_spec};

    #[test]
    fn each_version_says_who_made_it_what_changed_and_what_became_of_it() {
        let mut world = World::new();
        let command = CreateService { namespace: Namespace::default_namespace(), spec: web_spec("web", 1) };
        let id = world.execute(command).unwrap().id;
        world.advance(std::time::Duration::from_secs(1));
        let image = "web:2".parse().unwrap();
        world.execute(RollOut { service: id, image, max_unavailable: None, max_surge: None }).unwrap();
        world.advance(std::time::Duration::from_secs(1));
        world.execute(RollBack { service: id, to_version: None }).unwrap();
        let service = world.cluster.service(id).unwrap();
        let versions = HistoryAnswer::view(&world.cluster, service).versions;
        let told: Vec<_> = versions.iter().map(|v| (v.version, v.current, v.image.as_str())).collect();
        assert_eq!(told, [(2, false, "web:2"), (1, true, "web:1")]);
        assert_eq!(versions[0].by.as_deref(), Some("test"));
        assert_eq!(versions[0].changes.len(), 1);
        assert_eq!(versions[0].changes[0].field, "template.image");
        assert_eq!(versions[0].status.as_deref(), Some("superseded"));
        assert_eq!(versions[1].status.as_deref(), Some("rolling_back"));
        assert!(versions[1].changes.is_empty());
    }
}
