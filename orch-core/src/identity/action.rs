//! Actions: what can be asked for, and the least role that may. One table for router, authorizer, client and tests.

use super::Role;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $least:expr, $reach:ident;)*) => {
        /// Something that can be asked of a control plane.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $($(#[$doc])* $name,)* }
        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
            /// Its name in audit records and permits.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),* } }
            /// The least role of a user; `None`: for nodes only.
            #[must_use]
            pub const fn least_role(self) -> Option<Role> { match self { $(Self::$name => $least),* } }
            /// Whether a role in one namespace is enough, or a cluster-wide one is needed.
            #[must_use]
            pub const fn reach(self) -> Reach { match self { $(Self::$name => Reach::$reach),* } }
        }
    };
}

/// How far an action's effect goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Within the namespace of the request.
    Namespace,
    /// The whole cluster: only a cluster-wide role counts, except for reading nodes.
    Cluster,
    /// One node, asked for by that node itself.
    Node,
}

actions! {
    /// Read the server's version and who one is.
    ReadVersion = "version.read", Some(Role::Viewer), Namespace;
    /// Read nodes. A viewer of any namespace may.
    ReadNodes = "node.read", Some(Role::Viewer), Namespace;
    /// Cordon or uncordon a node, or end its drain.
    CordonNode = "node.cordon", Some(Role::Admin), Cluster;
    /// Drain a node.
    DrainNode = "node.drain", Some(Role::Admin), Cluster;
    /// End a drain or a cordon.
    UncordonNode = "node.uncordon", Some(Role::Admin), Cluster;
    /// Wait no longer for a node that is offline.
    GiveUpNode = "node.give_up", Some(Role::Admin), Cluster;
    /// Revoke a node's identity for good.
    RevokeNode = "node.revoke", Some(Role::Admin), Cluster;
    /// Make a node register again.
    ResetNode = "node.reset", Some(Role::Admin), Cluster;
    /// Let a node come with another key.
    ApproveNodeKey = "node.key.approve", Some(Role::Admin), Cluster;
    /// Make, read and revoke the tokens that admit new nodes.
    ManageEnrollmentTokens = "enrollment.token.manage", Some(Role::Admin), Cluster;
    /// Remove a node.
    RemoveNode = "node.remove", Some(Role::Admin), Cluster;
    /// Read services, deployments, tasks, endpoints.
    ReadServices = "service.read", Some(Role::Viewer), Namespace;
    /// Create a service.
    CreateService = "service.create", Some(Role::Operator), Namespace;
    /// Change a service's spec.
    UpdateService = "service.update", Some(Role::Operator), Namespace;
    /// Change a service's replica count.
    ScaleService = "service.scale", Some(Role::Operator), Namespace;
    /// Roll out another image.
    RollOut = "service.rollout", Some(Role::Operator), Namespace;
    /// Keep a rollout from replacing any further.
    PauseRollout = "service.rollout.pause", Some(Role::Operator), Namespace;
    /// Let a paused rollout go on.
    ContinueRollout = "service.rollout.continue", Some(Role::Operator), Namespace;
    /// Break a rollout off and go back.
    AbortRollout = "service.rollout.abort", Some(Role::Operator), Namespace;
    /// Replace every task by another of the same version.
    RestartService = "service.restart", Some(Role::Operator), Namespace;
    /// Let tasks move to better nodes.
    Rebalance = "service.rebalance", Some(Role::Operator), Namespace;
    /// Go back to an earlier version.
    RollBack = "service.rollback", Some(Role::Operator), Namespace;
    /// Delete a service.
    DeleteService = "service.delete", Some(Role::Operator), Namespace;
    /// Read logs.
    ReadLogs = "logs.read", Some(Role::Viewer), Namespace;
    /// Measure what tasks use: no more than logs tell, and so for viewers, too.
    ReadStats = "stats.read", Some(Role::Viewer), Namespace;
    /// Run commands inside a task's container.
    ExecTask = "task.exec", Some(Role::Operator), Namespace;
    /// Read events.
    ReadEvents = "event.read", Some(Role::Viewer), Namespace;
    /// Read audit records.
    ReadAudit = "audit.read", Some(Role::Admin), Namespace;
    /// Read, make and delete namespaces.
    ManageNamespaces = "namespace.manage", Some(Role::Admin), Cluster;
    /// Read, add, change and end users and their API tokens.
    ManageUsers = "user.manage", Some(Role::Admin), Cluster;
    /// Register as a node.
    RegisterNode = "agent.register", None, Node;
    /// Everything that a registered node asks for: heartbeat, desired set, reports, secrets, streams.
    ActAsNode = "agent.act", None, Node;
    /// What the control plane does by itself: reconcile, expire, prune.
    Control = "system.control", None, Cluster;
}
