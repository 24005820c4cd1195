//! Whether a node or a user may act, as far as the state says: by what it shows, and again after every wait.

use super::ClusterPolicy;
use crate::cluster::Cluster;
use crate::command::rejection::Unauthorized;
use crate::identity::{NodePrincipal, Recognised, UserIdentity, Verdict};
use crate::node::{Incarnation, NodeStatus};
use crate::time::Timestamp;
use crate::user::UserStatus;

/// A node that may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) principal: NodePrincipal,
    /// It showed its next credential for the first time: that is to be made durable before anything is done for it.
    pub(super) promote: bool,
}

/// Why a credential that is ours opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is dead, and someone uses it anew: someone has a copy.
    Reused,
    /// In a word for the metrics, and as the caller is told.
    Because(&'static str, Unauthorized),
}

/// What the state and the sequence numbers say of a credential that is ours. `highest`: the highest number of a registration
/// that memory knows of.
pub(super) fn weigh(
    cluster: &Cluster,
    shown: &Recognised,
    sequence: Option<u64>,
    highest: impl FnOnce(Incarnation) -> u64,
    now: Timestamp,
) -> Result<Admitted, Refused> {
    let node = cluster.node(shown.node).ok_or(Refused::Because("removed", Unauthorized::Unknown))?;
    if node.status == NodeStatus::Revoked {
        return Err(Refused::Because("revoked", Unauthorized::NodeRevoked));
    }
    let row = cluster.credential(shown.node).ok_or(Refused::Because("reset", Unauthorized::NodeReset))?;
    let promote = match row.judge(shown, sequence, highest(row.incarnation), now) {
        Verdict::Current | Verdict::Grace => false,
        Verdict::Promote => true,
        Verdict::Expired => return Err(Refused::Because("expired", Unauthorized::CredentialExpired)),
        Verdict::Late => return Err(Refused::Because("late", Unauthorized::CredentialSuperseded)),
        Verdict::OldIncarnation => return Err(Refused::Because("old_incarnation", Unauthorized::NodeReset)),
        Verdict::Unknown => return Err(Refused::Because("unknown", Unauthorized::Unknown)),
        Verdict::Reused => return Err(Refused::Reused),
    };
    let principal = NodePrincipal {
        node: shown.node,
        incarnation: shown.incarnation,
        generation: shown.generation,
        sequence,
    };
    stands(cluster, &principal).map_err(|why| Refused::Because("reset", why))?;
    Ok(Admitted { principal, promote })
}

/// Whether the node is still there, not revoked, and in the same registration. Rotation of its credential does not matter:
/// a request that was admitted runs on.
pub(super) fn stands(cluster: &Cluster, principal: &NodePrincipal) -> Result<(), Unauthorized> {
    let node = cluster.node(principal.node).ok_or(Unauthorized::Unknown)?;
    if node.status == NodeStatus::Revoked {
        return Err(Unauthorized::NodeRevoked);
    }
    let credential = cluster.credential(principal.node).ok_or(Unauthorized::NodeReset)?;
    if node.incarnation != principal.incarnation || credential.incarnation != principal.incarnation {
        return Err(Unauthorized::NodeReset);
    }
    Ok(())
}

/// Whether the user is not disabled, and what he showed was not taken back. Where the settings list the users, only the latter
/// is the state's to say.
pub(super) fn user_stands(
    cluster: &Cluster,
    policy: &ClusterPolicy,
    identity: &UserIdentity,
) -> Result<(), Unauthorized> {
    if identity.token.is_some_and(|token| cluster.api_token(token).is_none()) {
        return Err(Unauthorized::TokenRevoked);
    }
    match cluster.user(&identity.subject) {
        Some(user) if user.status == UserStatus::Disabled && !policy.users_are_listed => {
            Err(Unauthorized::UserDisabled)
        }
        Some(user) if !user.accepts(identity.issued_at) => Err(Unauthorized::TokenRevoked),
        _ => Ok(()),
    }
}
