//! From the domain's spec to the wire's.

use super::{Autoscaling, ImageMetadata, ResourceRequirements, ServiceSpec};
use crate::service;

impl From<&service::ServiceSpec> for ServiceSpec {
    fn from(spec: &service::ServiceSpec) -> Self {
        let template = &spec.template;
        let mut wire = Self {
            name: spec.name.to_string(),
            image: template.image.to_string(),
            image_metadata: (&template.image).into(),
            image_pull_secret: None,
            stateful: spec.stateful,
            replicas: spec.replicas,
            entrypoint: template.entrypoint.clone(),
            command: template.command.clone(),
            workdir: template.workdir.clone(),
            env: template.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
            secret_refs: template.secrets.iter().map(Into::into).collect(),
            ports: template.ports.iter().map(Into::into).collect(),
            resource_requirements: ResourceRequirements {
                requests: template.requests.into(),
                limits: template.limits.into(),
                requests_defaulted: spec.defaulted.requests,
                limits_defaulted: spec.defaulted.limits,
            },
            security_context: (&template.security).into(),
            mounts: template.mounts.iter().map(Into::into).collect(),
            autoscaling: Autoscaling::default(),
            healthcheck: template.health.as_ref().map(Into::into),
            restart_policy: (&template.restart).into(),
            placement_constraints: spec.constraints.iter().map(Into::into).collect(),
            placement_strategy: spec.strategy.into(),
            routes: spec.routes.iter().map(Into::into).collect(),
            volume_claims: Vec::new(),
            labels: spec.labels.clone(),
            stop_signal: template.stop.signal.clone(),
            stop_grace: template.stop.grace.into(),
            drain_delay: Some(template.stop.delay.into()),
            on_disconnect: Some(template.on_disconnect)
                .filter(|policy| *policy != service::OnDisconnect::default())
                .map(Into::into),
            init: template.init,
            rollout: Some((&spec.rollout).into()),
            ..Self::default()
        };
        wire.render_settings(&template.settings);
        wire
    }
}

impl From<&service::ImageRef> for ImageMetadata {
    fn from(image: &service::ImageRef) -> Self {
        Self {
            requested_image: image.to_string(),
            digest: image.digest().map(str::to_owned),
            registry: image.registry().to_owned(),
            name: image.name().to_owned(),
            tag: image.tag().map(str::to_owned),
            pinned: image.digest().is_some(),
        }
    }
}
