//! What this node ran under an earlier identity: a node that was removed and registered anew is another node to the cluster,
//! and nobody but its agent knows that the containers of the one before are its own leftovers.

use std::collections::BTreeSet;

use orch_core::env::EnvExt as _;
use orch_core::id::NodeId;
use orch_core::runtime::{Owner, RuntimeError};
use orch_core::service::StopPolicy;

use crate::retry::Retry;
use crate::shared::{Goal, Shared};

/// Clears away what earlier identities left, whenever there is one.
pub(crate) async fn run(shared: &Shared) {
    let mut goals = shared.goal.subscribe();
    let mut retry = Retry::new("removing what this node ran under an earlier identity");
    loop {
        let owner = match goals.wait_for(|goal| first(goal).is_some()).await {
            Ok(goal) => first(&goal),
            Err(_) => return,
        };
        let Some(owner) = owner else { continue };
        match clear(shared, &owner).await {
            Ok(()) => {
                retry.worked();
                shared.goal.send_modify(|goal| {
                    goal.former.remove(&owner.node);
                });
            }
            Err(error) => {
                let wait = retry.failed(&shared.env, &error, None);
                shared.env.sleep(wait).await;
            }
        }
    }
}

/// The identities that are over once the node is told `node`'s tasks, for the first time or again.
pub(crate) fn with_former(goal: &Goal, cluster: orch_core::id::ClusterId, node: NodeId) -> BTreeSet<NodeId> {
    let mut former = goal.former.clone();
    if let Some(before) = goal.desired.as_deref().filter(|before| before.version.cluster == cluster) {
        former.insert(before.node);
    }
    former.remove(&node);
    former
}

fn first(goal: &Goal) -> Option<Owner> {
    let cluster = goal.desired.as_ref()?.version.cluster;
    goal.former.first().map(|node| Owner { cluster, node: *node })
}

/// Until nothing is listed: what was just being created is found by the next list.
async fn clear(shared: &Shared, owner: &Owner) -> Result<(), RuntimeError> {
    loop {
        let left = shared.runtime.list(owner).await?;
        if left.is_empty() {
            return Ok(());
        }
        tracing::warn!(former = %owner.node, containers = left.len(), "removing what an earlier identity left");
        for container in left {
            shared.runtime.stop(&container.id, &StopPolicy::default()).await?;
            shared.runtime.remove(&container.id).await?;
        }
    }
}
