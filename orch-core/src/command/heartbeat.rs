//! heartbeat

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// A node is alive: sets its next credential, promotes the one it used, and takes over what changed of it. Writes the credential row alone where nothing else changed.
#[derive(Clone, Debug)]
pub struct HeartbeatNode {
    /// ..
    pub heartbeat: crate::agent::Heartbeat,
    /// ..
    pub next: crate::identity::Issued,
}

impl Command for HeartbeatNode {
    const ACTION: Action = Action::ActAsNode;
    type Output = Arc<crate::node::Node>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// A node's next credential was used for the first time: it becomes current. No-op if it is already.
#[derive(Clone, Debug)]
pub struct UseCredential {}

impl Command for UseCredential {
    const ACTION: Action = Action::ActAsNode;
    type Output = ();
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
