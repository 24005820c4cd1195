//! From the domain's spec to the wire's.

use super::{
    Autoscaling, Backoff, Constraint, HealthCheck, HostPathMount, ImageMetadata, Port, ProbeKind,
    ResourceRequirements, RestartCondition, RestartPolicy, Rollout, Route, SecretRef, SecurityContext,
    ServiceSpec,
};
use crate::deployment::RolloutPolicy;
use crate::secret::{self, SecretDelivery};
use crate::service::{self, Probe, Publish};

impl From<&service::ServiceSpec> for ServiceSpec {
    fn from(spec: &service::ServiceSpec) -> Self {
        let template = &spec.template;
        Self {
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
            },
            security_context: (&template.security).into(),
            autoscaling: Autoscaling::default(),
            healthcheck: template.health.as_ref().map(Into::into),
            restart_policy: (&template.restart).into(),
            placement_constraints: spec.constraints.iter().map(Into::into).collect(),
            routes: spec.routes.iter().map(Into::into).collect(),
            volume_claims: Vec::new(),
            labels: spec.labels.clone(),
            stop_signal: template.stop.signal.clone(),
            stop_grace: template.stop.grace.into(),
            drain_delay: Some(template.stop.delay.into()),
            init: template.init,
            rollout: Some((&spec.rollout).into()),
        }
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

impl From<&secret::SecretRef> for SecretRef {
    fn from(secret: &secret::SecretRef) -> Self {
        let (env, file) = match &secret.delivery {
            SecretDelivery::Env(name) => (Some(name.to_string()), None),
            SecretDelivery::File(path) => (None, Some(path.clone())),
        };
        Self { name: secret.name.to_string(), key: secret.key.clone(), env, file }
    }
}

impl From<&service::PortSpec> for Port {
    fn from(port: &service::PortSpec) -> Self {
        Self {
            name: port.name.clone(),
            protocol: port.protocol.into(),
            container_port: port.container_port.get(),
            published_port: match port.publish {
                Publish::Dynamic => 0,
                Publish::Fixed(port) => port.get(),
            },
        }
    }
}

impl From<&service::AssignedPort> for Port {
    fn from(port: &service::AssignedPort) -> Self {
        Self {
            name: port.name.clone(),
            protocol: port.protocol.into(),
            container_port: port.container_port.get(),
            published_port: port.host_port.get(),
        }
    }
}

impl From<&service::SecurityContext> for SecurityContext {
    fn from(security: &service::SecurityContext) -> Self {
        let names = |set: &std::collections::BTreeSet<service::Capability>| {
            set.iter().map(ToString::to_string).collect()
        };
        Self {
            user: security.user.clone(),
            read_only_root_filesystem: security.read_only_root,
            privileged: security.privileged,
            cap_add: names(&security.cap_add),
            cap_drop: names(&security.cap_drop),
            host_network: security.host_network,
            host_pid: security.host_pid,
            host_path_mounts: security
                .host_mounts
                .iter()
                .map(|mount| HostPathMount {
                    host_path: mount.host_path.clone(),
                    container_path: mount.container_path.clone(),
                    read_only: mount.read_only,
                })
                .collect(),
        }
    }
}

impl From<&service::HealthCheck> for HealthCheck {
    fn from(check: &service::HealthCheck) -> Self {
        let (kind, scheme, path) = match &check.probe {
            Probe::Tcp => (ProbeKind::Tcp, None, None),
            Probe::Http { scheme, path } => (ProbeKind::Http, Some((*scheme).into()), Some(path.clone())),
        };
        Self {
            kind,
            scheme,
            path,
            port: check.port.get(),
            interval: check.interval.into(),
            timeout: check.timeout.into(),
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
        }
    }
}

impl From<&service::RestartPolicy> for RestartPolicy {
    fn from(policy: &service::RestartPolicy) -> Self {
        Self {
            condition: match policy.condition {
                service::RestartCondition::Always => RestartCondition::Always,
                service::RestartCondition::OnFailure => RestartCondition::OnFailure,
                service::RestartCondition::Never => RestartCondition::Never,
            },
            max_attempts: policy.max_attempts.unwrap_or(0),
            backoff: Some(Backoff {
                initial: policy.backoff.initial.into(),
                max: policy.backoff.max.into(),
                reset_after: policy.backoff.reset_after.into(),
            }),
        }
    }
}

impl From<&service::Constraint> for Constraint {
    fn from(constraint: &service::Constraint) -> Self {
        Self {
            key: constraint.key.clone(),
            operator: constraint.operator.into(),
            value: constraint.value.clone(),
        }
    }
}

impl From<&service::Route> for Route {
    fn from(route: &service::Route) -> Self {
        Self {
            host: route.host.clone(),
            path_prefix: route.path_prefix.clone(),
            port: route.port,
            tls: route.tls,
        }
    }
}

impl From<&RolloutPolicy> for Rollout {
    fn from(policy: &RolloutPolicy) -> Self {
        Self {
            max_unavailable: Some(policy.max_unavailable),
            max_surge: Some(policy.max_surge),
            min_healthy: Some(policy.min_healthy.into()),
            deadline: Some(policy.deadline.into()),
            on_failure: Some(policy.on_failure.into()),
        }
    }
}
