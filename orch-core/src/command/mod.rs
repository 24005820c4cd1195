//! Commands: what may be asked, and what follows. One file each: fields, action, decision, tests.

pub mod abort_rollout;
pub mod api_token;
pub mod apply_service;
pub mod approve_node_key;
pub mod continue_rollout;
pub mod create_service;
pub mod delete_service;
pub mod drain_node;
pub mod enrollment_token;
pub mod give_up_node;
pub mod heartbeat;
pub mod move_tasks;
pub mod namespace;
pub mod node_admin;
pub mod node_liveness;
pub mod open_exec;
pub mod pause_rollout;
mod pins;
pub mod prune;
pub mod reconcile_service;
pub mod register_node;
pub mod rejection;
pub mod report_tasks;
pub mod restart_service;
pub mod roll_back;
pub mod roll_out;
pub mod scale_service;
pub mod user;

mod endings;
mod journal;
mod lookup;
mod standing;
mod versions;

pub use abort_rollout::AbortRollout;
pub(crate) use api_token::NoteTokenUse;
pub use api_token::{CreateApiToken, RevokeApiToken};
pub use apply_service::{Applied, ApplyService};
pub use approve_node_key::ApproveNodeKey;
pub use continue_rollout::ContinueRollout;
pub use create_service::CreateService;
pub use delete_service::DeleteService;
pub use drain_node::{DrainNode, UncordonNode};
pub use enrollment_token::{CreateEnrollmentToken, RevokeEnrollmentToken};
pub use give_up_node::GiveUpNode;
pub use heartbeat::{HeartbeatNode, UseCredential};
pub use move_tasks::MoveTasks;
pub use namespace::{CreateNamespace, DeleteNamespace};
pub use node_admin::{CordonNode, RemoveNode, ResetNode, RevokeNode};
pub use node_liveness::{NodeFellSilent, ReviewSilence};
pub use open_exec::OpenExec;
pub use pause_rollout::PauseRollout;
pub use prune::PruneState;
pub use reconcile_service::ReconcileService;
pub use register_node::{RegisterNode, RegisteredNode};
pub use rejection::{ExecuteError, FieldPath, Rejection};
pub use report_tasks::ReportTasks;
pub use restart_service::RestartService;
pub use roll_back::RollBack;
pub use roll_out::RollOut;
pub use scale_service::ScaleService;
pub use user::{CreateUser, DisableUser, EnableUser, RemoveUser, RevokeUserTokens, SetUserRole};

use crate::cluster::{Cluster, Revision, Transaction};
use crate::id::IdStream;
use crate::identity::{Action, Principal, RequestContext, Scope};
use crate::record::{ActorType, AuditRecord, Event, EventKind, Outcome, RelatedObject, Severity};
use crate::time::Timestamp;

/// All that a decision may look at besides the cluster: no clock, no random source and no I/O can be reached from here.
pub struct Ctx<'a> {
    /// Cluster time.
    pub now: Timestamp,
    /// Until when nobody's absence says anything: the control plane only just began to listen, or stood still.
    pub hears_from: Timestamp,
    /// Ids for what the decision makes.
    pub ids: &'a mut IdStream,
    /// The revision that the transaction will have.
    pub revision: Revision,
    /// Who asks.
    pub principal: &'a Principal,
    /// Where the permit holds. Commands on objects of another namespace answer as if there were none.
    pub scope: &'a Scope,
    /// From where.
    pub request: &'a RequestContext,
    /// What the server lets specs ask for, and how it runs the cluster.
    pub policy: &'a crate::control_plane::ClusterPolicy,
}

/// What a command decided: what to write, and what to answer once that is durable.
#[derive(Debug)]
pub struct Decision<T> {
    /// To be committed. Empty: nothing changes.
    pub transaction: Transaction,
    /// The answer.
    pub output: T,
    /// The id or name of the object made or changed, for the idempotency receipt.
    pub object: Option<String>,
}

impl<T> Decision<T> {
    /// Nothing to write.
    #[must_use]
    pub fn unchanged(output: T) -> Self {
        Self { transaction: Transaction::default(), output, object: None }
    }

    /// Something to write.
    #[must_use]
    pub fn commit(transaction: Transaction, output: T) -> Self {
        Self { transaction, output, object: None }
    }

    /// The object that a repeated request is answered with.
    #[must_use]
    pub fn about(mut self, object: impl ToString) -> Self {
        self.object = Some(object.to_string());
        self
    }
}

/// Something that can be asked of the control plane. The decision is pure: state, command, time and ids in, transaction out.
pub trait Command: Send + Sized + 'static {
    /// What it needs.
    const ACTION: Action;
    /// What it is answered with.
    type Output: Send + 'static;

    /// What follows. Called once, on a state in which every earlier command of the group already holds.
    ///
    /// # Errors
    /// The caller's mistake: nothing is written.
    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<Self::Output>, Rejection>;

    /// The answer to a repetition of a request that was carried out: the object as it is now. `None`: this command takes no
    /// idempotency key, or the object is gone, and the caller is told that the request was carried out once.
    fn replay(&self, cluster: &Cluster, object: &str) -> Option<Self::Output> {
        let _ = (cluster, object);
        None
    }

    /// What a repetition of a request that was carried out comes to. Answered by [`Command::replay`], unless the answer held
    /// something that cannot be told twice, a token say: then what was made first is voided, and it is made anew.
    ///
    /// # Errors
    /// There is no answer any more.
    fn repeat(
        self,
        cluster: &Cluster,
        object: &str,
        ctx: &mut Ctx<'_>,
    ) -> Result<Decision<Self::Output>, Rejection> {
        let _ = ctx;
        self.replay(cluster, object).map(Decision::unchanged).ok_or(Rejection::AlreadyDone)
    }
}

impl Ctx<'_> {
    /// Whether an object of `namespace` is within the permit's scope.
    #[must_use]
    pub fn reaches(&self, namespace: &crate::name::Namespace) -> bool {
        match self.scope {
            Scope::Cluster => true,
            Scope::Namespace(scope) => scope == namespace,
            Scope::Node(_) => false,
        }
    }

    /// Who asks, as events name him.
    #[must_use]
    pub fn who(&self) -> String {
        match self.principal {
            Principal::User(user) => user.subject.to_string(),
            Principal::Node(node) => format!("node {}", node.node),
            Principal::System(part) => (*part).to_owned(),
        }
    }

    /// An event, now.
    pub fn event(
        &mut self,
        kind: EventKind,
        severity: Severity,
        related: impl Into<Option<RelatedObject>>,
        message: String,
    ) -> Event {
        Event {
            id: self.ids.next(),
            namespace: None,
            kind,
            severity,
            message,
            related: related.into(),
            details: std::collections::BTreeMap::new(),
            at: self.now,
        }
    }

    /// An audit record of success, by whoever asks, now.
    pub fn audit(&mut self, action: &str, target_type: &str, target_id: impl ToString) -> AuditRecord {
        let (actor_type, actor_id) = match self.principal {
            Principal::User(user) => (ActorType::User, user.subject.to_string()),
            Principal::Node(node) => (ActorType::Agent, node.node.to_string()),
            Principal::System(part) => (ActorType::System, (*part).to_owned()),
        };
        AuditRecord {
            id: self.ids.next(),
            namespace: match self.scope {
                Scope::Namespace(namespace) => Some(namespace.clone()),
                Scope::Cluster | Scope::Node(_) => None,
            },
            actor_type,
            actor_id,
            action: action.to_owned(),
            target_type: target_type.to_owned(),
            target_id: target_id.to_string(),
            request_id: self.request.request_id.clone(),
            source_ip: self.request.source_ip.clone(),
            outcome: Outcome::Success,
            metadata: std::collections::BTreeMap::new(),
            at: self.now,
        }
    }
}
