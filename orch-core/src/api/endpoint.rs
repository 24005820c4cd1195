//! The table of endpoints: read by the router, the client, and the test that tries every row with every role and
//! credential. A route without an access rule, or with types of another, does not compile.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Force, agent, apply, audit, deployment, discovery, enrollment, event, exec, history, logs, namespace,
    node, openapi, plan, rebalance, service, stats, task, user, version, why,
};
use crate::identity::Action;

/// Methods that the API uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes, or asks for something to be done.
    Post,
    /// Replaces.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: nothing is looked at.
    Open,
    /// A user who may do this. No node credential is good for it.
    User(Action),
    /// A machine that wants to be a node: by registration token, node key, or both.
    Registration,
    /// A registered node, by its credential. No user's token is good for it.
    Node,
}

impl Access {
    /// The action that a principal must be allowed; `None`: nobody is asked.
    #[must_use]
    pub const fn action(self) -> Option<Action> {
        match self {
            Self::Open => None,
            Self::User(action) => Some(action),
            Self::Registration => Some(Action::RegisterNode),
            Self::Node => Some(Action::ActAsNode),
        }
    }
}

/// How an endpoint keeps time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Answered within 15 seconds, or cut off.
    Prompt,
    /// May wait for something to change.
    Poll,
    /// Goes on as long as both sides want.
    Stream,
}

/// No body, or no query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, serde::Deserialize)]
pub struct Nothing {}

/// A body that is no JSON: text, or a stream of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, serde::Deserialize)]
pub struct Bytes {}

/// One endpoint, as a type: what the router, the client and the handlers agree on.
pub trait Endpoint: Send + Sync + 'static {
    /// Its row.
    const ROW: Row;
    /// What follows `?`.
    type Query: JsonSchema + Serialize + DeserializeOwned + Send + 'static;
    /// The body of the request; [`Nothing`] or [`Bytes`] where it is no JSON.
    type Request: JsonSchema + Serialize + DeserializeOwned + Send + 'static;
    /// The body of a successful answer; likewise.
    type Response: JsonSchema + Serialize + DeserializeOwned + Send + 'static;
}

/// Who looks at endpoints one by one, as types.
pub trait Visit {
    /// Looks at one.
    fn visit<E: Endpoint>(&mut self);
}

/// What the table says of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name of its type.
    pub name: &'static str,
    /// Method.
    pub method: Method,
    /// Path, with `{name}` for what varies.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// Status of success.
    pub status: u16,
    /// How it keeps time.
    pub pace: Pace,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

impl Row {
    /// The path with its placeholders filled in order, each percent-encoded as one segment.
    #[must_use]
    pub fn path_with(&self, values: &[&str]) -> String {
        let mut values = values.iter();
        let fill = |segment: &str| match segment.starts_with('{') {
            true => values.next().map(|value| encode(value)).unwrap_or_default(),
            false => segment.to_owned(),
        };
        self.path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// Whether it only reads, and so may be repeated without harm.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.method == Method::Get
    }
}

fn encode(segment: &str) -> String {
    use std::fmt::Write as _;
    segment.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

macro_rules! endpoints {
    ($(
        #[doc = $doc:literal]
        $name:ident = $method:ident $path:literal, $access:expr, ($query:ty, $request:ty) => $status:literal $response:ty, $pace:ident;
    )*) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl Endpoint for $name {
                const ROW: Row = Row {
                    name: stringify!($name),
                    method: Method::$method,
                    path: $path,
                    access: $access,
                    status: $status,
                    pace: Pace::$pace,
                    doc: $doc.trim_ascii(),
                };
                type Query = $query;
                type Request = $request;
                type Response = $response;
            }
        )*
        /// Every endpoint there is.
        pub const TABLE: &[Row] = &[$($name::ROW),*];

        /// Shows a visitor every endpoint, in the order of the table.
        pub fn visit_all(visitor: &mut impl Visit) {
            $(visitor.visit::<$name>();)*
        }
    };
}

use Access::{Node, Open, Registration, User};
use Action as A;

endpoints! {
    /// The process is alive.
    Healthz = Get "/healthz", Open, (Nothing, Nothing) => 200 version::Health, Prompt;
    /// The store can be read and written; 503 with the reason if not.
    Readyz = Get "/readyz", Open, (Nothing, Nothing) => 200 version::Health, Prompt;
    /// Prometheus text.
    Metrics = Get "/metrics", Open, (Nothing, Nothing) => 200 Bytes, Prompt;
    /// What the server is.
    GetVersion = Get "/v1/version", User(A::ReadVersion), (Nothing, Nothing) => 200 version::VersionInfo, Prompt;
    /// This API as an OpenAPI 3.1 document.
    GetOpenApi = Get "/v1/openapi.json", User(A::ReadVersion), (Nothing, Nothing) => 200 openapi::Document, Prompt;
    /// Who one is.
    GetWhoAmI = Get "/v1/whoami", User(A::ReadVersion), (Nothing, Nothing) => 200 version::WhoAmI, Prompt;
    /// Whether one may do something, in the namespace of the request.
    GetAccess = Get "/v1/access", User(A::ReadVersion), (user::AccessQuery, Nothing) => 200 user::AccessAnswer, Prompt;

    /// All nodes, by id.
    ListNodes = Get "/v1/nodes", User(A::ReadNodes), (Nothing, Nothing) => 200 node::NodesAnswer, Prompt;
    /// One node.
    GetNode = Get "/v1/nodes/{id}", User(A::ReadNodes), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Empties a node: each task leaves once its replacement serves, or at the deadline, if one is given.
    DrainNode = Post "/v1/nodes/{id}/drain", User(A::DrainNode), (node::DrainQuery, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Ends a drain and a cordon.
    UncordonNode = Post "/v1/nodes/{id}/uncordon", User(A::UncordonNode), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Keeps new tasks away; those that run stay.
    CordonNode = Post "/v1/nodes/{id}/cordon", User(A::CordonNode), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Waits no longer for a node that is offline: its tasks are replaced.
    GiveUpNode = Post "/v1/nodes/{id}/give-up", User(A::GiveUpNode), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Ends a node's identity for good; its tasks are replaced at once.
    RevokeNode = Post "/v1/nodes/{id}/revoke", User(A::RevokeNode), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Ends a node's registration: it must register again, by its key.
    ResetNode = Post "/v1/nodes/{id}/reset", User(A::ResetNode), (Nothing, Nothing) => 200 node::NodeAnswer, Prompt;
    /// Approves another key for a node: its next registration may be with it, once.
    ApproveNodeKey = Post "/v1/nodes/{id}/approve-key", User(A::ApproveNodeKey), (Nothing, enrollment::ApproveKeyRequest) => 200 node::NodeAnswer, Prompt;
    /// Removes a node that is offline or revoked.
    RemoveNode = Delete "/v1/nodes/{id}", User(A::RemoveNode), (node::RemoveQuery, Nothing) => 204 Nothing, Prompt;
    /// How far a drain is.
    GetDrainStatus = Get "/v1/nodes/{id}/drain-status", User(A::ReadNodes), (Nothing, Nothing) => 200 node::DrainStatusAnswer, Prompt;

    /// Makes a token that admits new nodes. The token is told in this answer only; a repetition voids it and makes another.
    CreateEnrollmentToken = Post "/v1/enrollment-tokens", User(A::ManageEnrollmentTokens), (Nothing, enrollment::EnrollmentTokenRequest) => 201 enrollment::NewEnrollmentTokenAnswer, Prompt;
    /// The tokens that admit nodes, and those that ended within a week.
    ListEnrollmentTokens = Get "/v1/enrollment-tokens", User(A::ManageEnrollmentTokens), (Nothing, Nothing) => 200 enrollment::EnrollmentTokensAnswer, Prompt;
    /// Takes a token back: it admits nobody any more. Idempotent.
    RevokeEnrollmentToken = Post "/v1/enrollment-tokens/{id}/revoke", User(A::ManageEnrollmentTokens), (Nothing, Nothing) => 200 enrollment::EnrollmentTokenAnswer, Prompt;

    /// Creates a service.
    CreateService = Post "/v1/services", User(A::CreateService), (Nothing, service::SpecRequest) => 201 service::ServiceAnswer, Prompt;
    /// The services of the namespace, deleted ones included.
    ListServices = Get "/v1/services", User(A::ReadServices), (Nothing, Nothing) => 200 service::ServicesAnswer, Prompt;
    /// One service.
    GetService = Get "/v1/services/{id}", User(A::ReadServices), (Nothing, Nothing) => 200 service::ServiceAnswer, Prompt;
    /// Changes a service's spec, as a rolling update.
    UpdateService = Put "/v1/services/{id}", User(A::UpdateService), (apply::ApplyQuery, service::SpecRequest) => 200 apply::ApplyAnswer, Prompt;
    /// Creates or changes a service by name, or says what that would do.
    Apply = Post "/v1/apply", User(A::UpdateService), (apply::ApplyQuery, service::SpecRequest) => 200 apply::ApplyAnswer, Prompt;
    /// What an apply would do: the difference, the placements and the order, by the code that would do it. Writes nothing.
    Plan = Post "/v1/plan", User(A::UpdateService), (Nothing, service::SpecRequest) => 200 plan::PlanAnswer, Prompt;
    /// Which tasks would run better elsewhere; lets the first of them move, if asked to.
    Rebalance = Post "/v1/rebalance", User(A::Rebalance), (Nothing, rebalance::RebalanceRequest) => 200 rebalance::RebalanceAnswer, Prompt;
    /// Takes a service down. Idempotent.
    DeleteService = Delete "/v1/services/{id}", User(A::DeleteService), (Nothing, Nothing) => 204 Nothing, Prompt;
    /// Where a service is reached.
    GetEndpoints = Get "/v1/services/{id}/endpoints", User(A::ReadServices), (discovery::EndpointsQuery, Nothing) => 200 discovery::ServiceEndpoints, Prompt;
    /// Why a service is as it is, and what it waits for.
    GetWhy = Get "/v1/services/{id}/why", User(A::ReadServices), (Nothing, Nothing) => 200 why::WhyAnswer, Prompt;
    /// Why a task is where it is.
    GetTaskWhy = Get "/v1/tasks/{id}/why", User(A::ReadServices), (Nothing, Nothing) => 200 why::TaskWhyAnswer, Prompt;
    /// Why a node is as it is, and what its drain waits for.
    GetNodeWhy = Get "/v1/nodes/{id}/why", User(A::ReadNodes), (Nothing, Nothing) => 200 why::NodeWhyAnswer, Prompt;
    /// The versions of a service: who made them, when, and what changed.
    GetHistory = Get "/v1/services/{id}/history", User(A::ReadServices), (Nothing, Nothing) => 200 history::HistoryAnswer, Prompt;
    /// Replaces every task by another of the same version, as a rollout would.
    RestartService = Post "/v1/services/{id}/restart", User(A::RestartService), (deployment::SteerQuery, Nothing) => 202 deployment::DeploymentAnswer, Prompt;
    /// Changes a service's replica count.
    ScaleService = Post "/v1/services/{id}/scale", User(A::ScaleService), (Force, service::ScaleRequest) => 200 service::ServiceAnswer, Prompt;
    /// Rolls out another image.
    RollOut = Post "/v1/services/{id}/rollout", User(A::RollOut), (Force, deployment::RolloutRequest) => 202 deployment::DeploymentAnswer, Prompt;
    /// The newest deployment of a service.
    GetServiceRollout = Get "/v1/services/{id}/rollout", User(A::ReadServices), (Nothing, Nothing) => 200 deployment::DeploymentAnswer, Prompt;
    /// Goes back to an earlier version.
    RollBack = Post "/v1/services/{id}/rollback", User(A::RollBack), (deployment::RollbackQuery, Nothing) => 202 deployment::DeploymentAnswer, Prompt;
    /// Keeps the rollout under way from replacing any further. Idempotent.
    PauseRollout = Post "/v1/services/{id}/rollout/pause", User(A::PauseRollout), (deployment::SteerQuery, Nothing) => 200 deployment::DeploymentAnswer, Prompt;
    /// Lets a paused rollout go on. Idempotent.
    ContinueRollout = Post "/v1/services/{id}/rollout/continue", User(A::ContinueRollout), (deployment::SteerQuery, Nothing) => 200 deployment::DeploymentAnswer, Prompt;
    /// Breaks the rollout under way off, and goes back to the version it came from; answers the rollback.
    AbortRollout = Post "/v1/services/{id}/rollout/abort", User(A::AbortRollout), (deployment::SteerQuery, Nothing) => 202 deployment::DeploymentAnswer, Prompt;
    /// One deployment.
    GetRollout = Get "/v1/rollouts/{id}", User(A::ReadServices), (Nothing, Nothing) => 200 deployment::DeploymentAnswer, Prompt;
    /// Tasks of the namespace, by id.
    ListTasks = Get "/v1/tasks", User(A::ReadServices), (task::TasksQuery, Nothing) => 200 task::TasksAnswer, Prompt;
    /// One task.
    GetTask = Get "/v1/tasks/{id}", User(A::ReadServices), (Nothing, Nothing) => 200 task::TaskAnswer, Prompt;
    /// Runs a command inside a task's container: frames both ways.
    ExecTask = Post "/v1/tasks/{id}/exec", User(A::ExecTask), (exec::ExecQuery, Bytes) => 200 Bytes, Stream;

    /// Where the active services of the namespace are reached.
    ListDiscovery = Get "/v1/discovery/services", User(A::ReadServices), (discovery::EndpointsQuery, Nothing) => 200 discovery::DiscoveryAnswer, Prompt;
    /// Where one service is reached, by name.
    GetDiscovery = Get "/v1/discovery/services/{name}", User(A::ReadServices), (discovery::EndpointsQuery, Nothing) => 200 discovery::ServiceEndpoints, Prompt;
    /// Events, newest first.
    ListEvents = Get "/v1/events", User(A::ReadEvents), (event::EventsQuery, Nothing) => 200 event::EventsAnswer, Stream;
    /// Audit records, newest first.
    ListAudit = Get "/v1/audit", User(A::ReadAudit), (audit::AuditQuery, Nothing) => 200 audit::AuditAnswer, Prompt;
    /// The log of a task, or of all tasks of a service: lines of text.
    GetLogs = Get "/v1/logs", User(A::ReadLogs), (logs::LogsQuery, Nothing) => 200 Bytes, Stream;
    /// What the running tasks of the namespace, of a service, or one task use, measured now over a second.
    GetStats = Get "/v1/stats", User(A::ReadStats), (stats::StatsQuery, Nothing) => 200 stats::StatsAnswer, Prompt;

    /// Makes a namespace.
    CreateNamespace = Post "/v1/namespaces", User(A::ManageNamespaces), (Nothing, namespace::NamespaceRequest) => 201 namespace::NamespaceAnswer, Prompt;
    /// All namespaces, by name.
    ListNamespaces = Get "/v1/namespaces", User(A::ManageNamespaces), (Nothing, Nothing) => 200 namespace::NamespacesAnswer, Prompt;
    /// Deletes an empty namespace.
    DeleteNamespace = Delete "/v1/namespaces/{name}", User(A::ManageNamespaces), (Nothing, Nothing) => 204 Nothing, Prompt;

    /// All users that the cluster knows, by name.
    ListUsers = Get "/v1/users", User(A::ManageUsers), (Nothing, Nothing) => 200 user::UsersAnswer, Prompt;
    /// Adds a user.
    CreateUser = Post "/v1/users", User(A::ManageUsers), (Nothing, user::UserRequest) => 201 user::UserAnswer, Prompt;
    /// One user.
    GetUser = Get "/v1/users/{name}", User(A::ManageUsers), (Nothing, Nothing) => 200 user::UserAnswer, Prompt;
    /// Changes what a user may. Nobody changes his own role.
    SetUserRole = Put "/v1/users/{name}/role", User(A::ManageUsers), (Nothing, user::RoleRequest) => 200 user::UserAnswer, Prompt;
    /// Refuses a user from the next request on, open streams included, and takes back all that was issued to him. Idempotent.
    DisableUser = Post "/v1/users/{name}/disable", User(A::ManageUsers), (Nothing, Nothing) => 200 user::UserAnswer, Prompt;
    /// Lets a disabled user in again, by what is issued from now on. Idempotent.
    EnableUser = Post "/v1/users/{name}/enable", User(A::ManageUsers), (Nothing, Nothing) => 200 user::UserAnswer, Prompt;
    /// Takes back what was issued to a user before this instant.
    RevokeUserTokens = Post "/v1/users/{name}/revoke-tokens", User(A::ManageUsers), (Nothing, Nothing) => 200 user::UserAnswer, Prompt;
    /// Forgets a user, and takes back all that was issued to him.
    RemoveUser = Delete "/v1/users/{name}", User(A::ManageUsers), (Nothing, Nothing) => 204 Nothing, Prompt;
    /// The API tokens of a user, by name, without what is to be shown.
    ListApiTokens = Get "/v1/users/{name}/tokens", User(A::ManageUsers), (Nothing, Nothing) => 200 user::ApiTokensAnswer, Prompt;
    /// Makes an API token for a service account, and shows it this once. A repetition makes another and voids the first.
    CreateApiToken = Post "/v1/users/{name}/tokens", User(A::ManageUsers), (Nothing, user::ApiTokenRequest) => 201 user::ApiTokenMade, Prompt;
    /// Ends an API token.
    RevokeApiToken = Delete "/v1/users/{name}/tokens/{token}", User(A::ManageUsers), (Nothing, Nothing) => 204 Nothing, Prompt;

    /// A challenge to sign with a node key.
    AgentChallenge = Post "/v1/agent/challenge", Registration, (Nothing, agent::ChallengeRequest) => 200 crate::identity::Challenge, Prompt;
    /// Registers a node, for the first time or again.
    AgentRegister = Post "/v1/agent/register", Registration, (Nothing, agent::RegisterRequest) => 201 agent::AgentResponse, Prompt;
    /// A node is alive; answers its next credential.
    AgentHeartbeat = Post "/v1/agent/heartbeat", Node, (Nothing, agent::HeartbeatRequest) => 200 agent::AgentResponse, Prompt;
    /// What a node should run; waits for a change if asked to.
    AgentDesired = Get "/v1/agent/desired", Node, (agent::DesiredQuery, Nothing) => 200 crate::agent::DesiredSet, Poll;
    /// Where a node's tasks are.
    AgentReports = Post "/v1/agent/reports", Node, (Nothing, agent::ReportsRequest) => 200 agent::ReportsAnswer, Prompt;
    /// The values of the secrets of one of a node's tasks.
    AgentSecrets = Get "/v1/agent/tasks/{id}/secrets", Node, (agent::NodeQuery, Nothing) => 200 agent::SecretsAnswer, Prompt;
    /// Delivers a stream that someone waits for: the body of the request.
    AgentStream = Post "/v1/agent/streams/{ticket}", Node, (agent::NodeQuery, Bytes) => 204 Nothing, Stream;
    /// What goes the other way: what a command inside a container is sent.
    AgentInput = Get "/v1/agent/streams/{ticket}/input", Node, (agent::NodeQuery, Nothing) => 200 Bytes, Stream;
    /// The tasks of a node, for agents of the existing implementation.
    AgentTasks = Get "/v1/agent/tasks", Node, (agent::AgentTasksQuery, Nothing) => 200 agent::AgentTasksAnswer, Prompt;
    /// Where one task is, from agents of the existing implementation.
    AgentTaskStatus = Post "/v1/agent/tasks/{id}/status", Node, (Nothing, agent::StatusReport) => 200 task::TaskAnswer, Prompt;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_and_path_stands_in_the_table_once() {
        let mut seen: Vec<_> = TABLE.iter().map(|row| (row.method, row.path)).collect();
        seen.sort_unstable();
        let all = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }

    #[test]
    fn every_v1_route_asks_who_it_is_and_agents_have_their_own() {
        for row in TABLE {
            assert_eq!(row.path.starts_with("/v1/"), row.access != Access::Open, "{row:?}");
            let for_agents = matches!(row.access, Access::Registration | Access::Node);
            assert_eq!(row.path.starts_with("/v1/agent/"), for_agents, "{row:?}");
            let of_users = row.access.action().is_none_or(|action| action.least_role().is_some());
            assert_ne!(for_agents, of_users, "{row:?}");
        }
    }

    #[test]
    fn placeholders_are_filled_as_one_segment_each() {
        assert_eq!(ScaleService::ROW.path_with(&["a/b c"]), "/v1/services/a%2Fb%20c/scale");
        assert_eq!(ListNodes::ROW.path_with(&[]), "/v1/nodes");
    }
}
