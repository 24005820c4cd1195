//! Where services are reached.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use super::spec::Protocol;
use super::task::serves;
use crate::cluster::Cluster;
use crate::service;
use crate::task::{self, Health, TaskStatus};

/// Where one service is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ServiceEndpoints {
    /// Its id.
    pub service_id: String,
    /// Its name.
    pub service_name: String,
    /// Published ports of tasks that serve, by task and port.
    pub endpoints: Vec<Endpoint>,
}

/// One published port of one task.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Endpoint {
    /// The service.
    pub service_id: String,
    /// Its name.
    pub service_name: String,
    /// The task.
    pub task_id: String,
    /// Its node.
    pub node_id: String,
    /// The node's advertised address, as it gave it.
    pub node_address: String,
    /// On the node.
    pub public_host_port: u16,
    /// Inside the container.
    pub container_port: u16,
    /// Transport.
    pub protocol: Protocol,
    /// The task's actual status.
    pub health_status: String,
    /// The version that the task runs.
    pub service_version: u32,
}

impl ServiceEndpoints {
    /// Where a service is reached, as an image shows it. A task with a health check counts from its first success on.
    #[must_use]
    pub fn view(cluster: &Cluster, service: &service::Service, include_unhealthy: bool) -> Self {
        let unhealthy = |task: &task::Task| {
            include_unhealthy && task.is_active() && task.status == TaskStatus::Running(Health::Unhealthy)
        };
        let mut endpoints = Vec::new();
        for task in cluster.tasks_of_service(service.id) {
            let node = task.node.and_then(|node| cluster.node(node));
            let Some(node) = node.filter(|_| serves(cluster, task) || unhealthy(task)) else { continue };
            endpoints.extend(task.ports.iter().map(|port| Endpoint {
                service_id: service.id.to_string(),
                service_name: service.spec.name.to_string(),
                task_id: task.id.to_string(),
                node_id: node.id.to_string(),
                node_address: node.advertise_address.clone(),
                public_host_port: port.host_port.get(),
                container_port: port.container_port.get(),
                protocol: port.protocol.into(),
                health_status: task.status.as_str().to_owned(),
                service_version: task.version.0,
            }));
        }
        Self { service_id: service.id.to_string(), service_name: service.spec.name.to_string(), endpoints }
    }
}

/// The active services of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct DiscoveryAnswer {
    /// The services, by id.
    pub services: Vec<ServiceEndpoints>,
}

/// Which tasks count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointsQuery {
    /// Unhealthy ones too.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub include_unhealthy: bool,
}
