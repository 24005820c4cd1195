//! Services on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use super::pin::ImagePin;
use super::spec::{MAX_REPLICAS, ServiceSpec};
use crate::cluster::Cluster;
use crate::command::{FieldPath, Rejection};
use crate::service;

/// A service.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Where it belongs.
    pub namespace: String,
    /// What is wanted now.
    pub spec: ServiceSpec,
    /// `active`, `deleting` or `deleted`.
    pub status: String,
    /// From 1; each new spec adds 1.
    pub deployment_version: u32,
    /// The cluster revision of its last change: what `If-Match` compares.
    #[serde(default)]
    pub revision: u64,
    /// Which bytes its version runs; left out until an agent had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pin: Option<ImagePin>,
    /// When it was created.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl Service {
    /// A service as an image of the cluster shows it: with the pin of its version.
    #[must_use]
    pub fn view(cluster: &Cluster, service: &service::Service) -> Self {
        let revision = cluster.service_revision(service.id, service.version);
        Self { image_pin: revision.and_then(|revision| ImagePin::of(revision)), ..service.into() }
    }
}

impl From<&service::Service> for Service {
    fn from(service: &service::Service) -> Self {
        Self {
            id: service.id.to_string(),
            namespace: service.namespace.to_string(),
            spec: (&service.spec).into(),
            status: service.status.as_str().to_owned(),
            deployment_version: service.version.0,
            revision: service.revision.0,
            image_pin: None,
            created_at: service.created_at.into(),
            updated_at: service.updated_at.into(),
        }
    }
}

/// One service.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServiceAnswer {
    /// The service.
    pub service: Service,
}

/// Services, by id.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct ServicesAnswer {
    /// The services.
    pub services: Vec<Service>,
}

/// Creates, changes or applies.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct SpecRequest {
    /// What is wanted.
    pub spec: ServiceSpec,
}

impl SpecRequest {
    /// The domain's spec.
    ///
    /// # Errors
    /// As [`ServiceSpec::parse`].
    pub fn parse(&self) -> Result<service::ServiceSpec, Rejection> {
        self.spec.parse(&FieldPath::new("spec"))
    }
}

/// Changes the replica count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ScaleRequest {
    /// How many, at most [`MAX_REPLICAS`].
    pub replicas: u32,
}

impl ScaleRequest {
    /// The count.
    ///
    /// # Errors
    /// There are too many.
    pub fn parse(self) -> Result<u32, Rejection> {
        if self.replicas <= MAX_REPLICAS {
            return Ok(self.replicas);
        }
        Err(Rejection::invalid(FieldPath::new("replicas"), "too many", format!("at most {MAX_REPLICAS}")))
    }
}

/// One thing that was not done.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Held {
    /// Which replica; left out: the whole service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u32>,
    /// A sentence for people.
    pub reason: String,
}

impl From<&crate::reconcile::Held> for Held {
    fn from(held: &crate::reconcile::Held) -> Self {
        Self { slot: held.slot.map(|slot| slot.0), reason: held.reason.to_string() }
    }
}
