//! namespace

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// Makes a namespace.
#[derive(Clone, Debug)]
pub struct CreateNamespace {
    /// ..
    pub name: crate::name::Namespace,
}

impl Command for CreateNamespace {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = Arc<crate::cluster::NamespaceRecord>;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}

/// Deletes an empty namespace.
#[derive(Clone, Debug)]
pub struct DeleteNamespace {
    /// ..
    pub name: crate::name::Namespace,
}

impl Command for DeleteNamespace {
    const ACTION: Action = Action::ManageNamespaces;
    type Output = ();
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
