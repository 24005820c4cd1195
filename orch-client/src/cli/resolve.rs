//! People say names; the API takes ids. Either is taken here.

use orch_core::api::endpoint::{GetNode, GetService, ListNodes, ListServices, Nothing};
use orch_core::api::node::Node;
use orch_core::api::service::Service;
use orch_core::id::{NodeId, ServiceId};

use super::error::CliError;
use crate::client::Client;

/// A service by name or id. A name is looked for among the living first: a deleted service frees its name.
pub(super) async fn service(client: &Client, name: &str) -> Result<Service, CliError> {
    if name.parse::<ServiceId>().is_ok() {
        return Ok(client.call::<GetService>(&[name], &Nothing {}, &Nothing {}).await?.service);
    }
    let all = client.call::<ListServices>(&[], &Nothing {}, &Nothing {}).await?.services;
    let named = all.into_iter().filter(|service| service.spec.name == name);
    named.max_by_key(|service| (service.status != "deleted", service.created_at)).ok_or_else(|| {
        CliError::failed(format!("service `{name}` does not exist in namespace `{}`", client.namespace()))
            .hint("`orch service ls` lists them; --namespace looks elsewhere")
    })
}

/// A node by name or id.
pub(super) async fn node(client: &Client, name: &str) -> Result<Node, CliError> {
    if name.parse::<NodeId>().is_ok() {
        return Ok(client.call::<GetNode>(&[name], &Nothing {}, &Nothing {}).await?.node);
    }
    let all = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await?.nodes;
    all.into_iter().find(|node| node.hostname == name).ok_or_else(|| {
        CliError::failed(format!("node `{name}` does not exist")).hint("`orch node ls` lists them")
    })
}
