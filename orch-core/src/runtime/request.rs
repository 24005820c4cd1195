//! What a runtime is given.

use crate::id::{ClusterId, NodeId};
use crate::name::Namespace;
use crate::runtime::ContainerLabels;
use crate::secret::ResolvedSecrets;
use crate::service::port::AssignedPort;
use crate::service::{ImageDigest, TaskTemplate};

/// Whose containers a call is about: one node of one cluster. Others' are never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
}

/// Called with what a pull has come to: `layer 3 of 5, 43 %`.
pub type PullProgress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Everything that a container is made from.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub struct CreateRequest<'a> {
    /// The container's name: `orch-<task id>` for the first attempt, `orch-<task id>-<attempt>` for later ones.
    pub name: &'a str,
    /// Its host name, for people: `web-3`.
    pub hostname: &'a str,
    /// The namespace of its service: volumes belong to one.
    pub namespace: &'a str,
    /// Our labels; the template's own come beside them and never in their place.
    pub labels: &'a ContainerLabels,
    /// What it runs.
    pub template: &'a TaskTemplate,
    /// The image, as resolved on this node.
    pub image: &'a ImageDigest,
    /// The ports that the task owns on the node.
    pub ports: &'a [AssignedPort],
    /// The values of its secrets.
    pub secrets: &'a ResolvedSecrets,
}

impl<'a> CreateRequest<'a> {
    /// A request without ports, in the namespace `default`.
    #[must_use]
    pub const fn new(
        name: &'a str,
        hostname: &'a str,
        labels: &'a ContainerLabels,
        template: &'a TaskTemplate,
        image: &'a ImageDigest,
        secrets: &'a ResolvedSecrets,
    ) -> Self {
        Self { name, hostname, namespace: "default", labels, template, image, ports: &[], secrets }
    }

    /// In that namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &'a Namespace) -> Self {
        self.namespace = namespace.as_str();
        self
    }

    /// With the ports that the task owns.
    #[must_use]
    pub const fn with_ports(mut self, ports: &'a [AssignedPort]) -> Self {
        self.ports = ports;
        self
    }
}
