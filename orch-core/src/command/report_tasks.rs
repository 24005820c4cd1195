//! report_tasks

use std::sync::Arc;

use super::{Command, Ctx, Decision, Rejection};
use crate::cluster::Cluster;
use crate::identity::Action;

/// A node says where its tasks are.
#[derive(Clone, Debug)]
pub struct ReportTasks {
    /// ..
    pub reports: Vec<crate::task::TaskReport>,
}

impl Command for ReportTasks {
    const ACTION: Action = Action::ActAsNode;
    type Output = crate::agent::ReportAnswer;
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection> {
        let _ = (cluster, ctx);
        todo!()
    }
}
