//! What agents of the existing implementation speak: whole tasks with their environment, one status at a time.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::spec::{HealthCheck, Port, SecurityContext};
use crate::api::task::Task;
use crate::command::{FieldPath, Rejection};
use crate::id::{NodeId, TaskId};
use crate::runtime::ContainerId;
use crate::secret::{ResolvedSecrets, SecretDelivery};
use crate::service::{ImageOrder, TaskTemplate};
use crate::task::{Exit, Failure, FailureKind, Health, TaskReport, TaskStatus};

/// Which node polls; checked against the credential.
pub type AgentTasksQuery = super::NodeQuery;

/// A task for an agent of the existing implementation.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct AgentTask {
    /// The task.
    pub task: Task,
    /// How the agent tells whether it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// As assigned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// What the container may do.
    pub security_context: SecurityContext,
    /// Literals, and the values of secrets that go by variable.
    #[serde(default, skip_serializing_if = "Environment::is_empty")]
    pub env: Environment,
}

/// An environment that may hold secrets: its `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Whether there is no variable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        for value in self.0.values_mut() {
            zeroize::Zeroize::zeroize(value);
        }
    }
}

impl AgentTask {
    /// A task with what it runs, by its digest once that is known. Secrets that go by file are left out: such agents know none, and their tasks fail there.
    #[must_use]
    pub fn of(
        mut task: Task,
        template: &TaskTemplate,
        image: Option<&ImageOrder>,
        secrets: &ResolvedSecrets,
    ) -> Self {
        if let Some(pin) = image.and_then(ImageOrder::pin) {
            task.image = pin.reference(&template.image).to_string();
        }
        let literal = template.env.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let secret = secrets.values.iter().filter_map(|secret| match &secret.delivery {
            SecretDelivery::Env(name) => {
                Some((name.to_string(), String::from_utf8_lossy(secret.value.expose()).into_owned()))
            }
            SecretDelivery::File(_) => None,
        });
        Self {
            healthcheck: template.health.as_ref().map(Into::into),
            ports: task.ports.clone(),
            security_context: (&template.security).into(),
            env: Environment(literal.chain(secret).collect()),
            task,
        }
    }
}

/// The tasks of a node, by id.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct AgentTasksAnswer {
    /// The tasks.
    pub tasks: Vec<AgentTask>,
}

/// Where one task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// Which node; checked against the credential.
    pub node_id: String,
    /// `pulling`, `created`, `running`, `healthy`, `unhealthy`, `failed`, `stopped` or `removed`.
    pub status: String,
    /// The container, once it exists.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_reason: String,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

impl StatusReport {
    /// The node, and its report in the domain's form.
    ///
    /// # Errors
    /// An id, or the status, is none.
    pub fn parse(&self, task: TaskId) -> Result<(NodeId, TaskReport), Rejection> {
        let exit = self.exit_code.map(|code| Exit { code: Some(code), ..Exit::default() });
        let status = match self.status.as_str() {
            "pulling" => TaskStatus::Pulling,
            "created" => TaskStatus::Created,
            "running" => TaskStatus::Running(Health::Unchecked),
            "healthy" => TaskStatus::Running(Health::Healthy),
            "unhealthy" => TaskStatus::Running(Health::Unhealthy),
            "stopped" => TaskStatus::Stopped(exit),
            "removed" => TaskStatus::Removed,
            "failed" => TaskStatus::Failed(self.failure(exit)),
            _ => {
                let expected = "pulling, created, running, healthy, unhealthy, failed, stopped or removed";
                return Err(Rejection::invalid(
                    FieldPath::new("status"),
                    "not a status that agents report",
                    expected,
                ));
            }
        };
        let container = Some(self.container_id.clone()).filter(|id| !id.is_empty()).map(ContainerId);
        let report = TaskReport { container, ..TaskReport::new(task, None, status) };
        Ok((crate::api::parse_id(&self.node_id, "node_id")?, report))
    }

    fn failure(&self, exit: Option<Exit>) -> Failure {
        let kind = match &exit {
            _ if self.failure_reason.starts_with("port allocation failed:") => FailureKind::Port,
            Some(_) => FailureKind::Exited,
            None => FailureKind::Other,
        };
        let reason = match (self.failure_reason.as_str(), &exit) {
            ("", Some(exit)) => exit.describe(),
            ("", None) => "the agent gave no reason".to_owned(),
            (reason, _) => reason.to_owned(),
        };
        Failure { kind, reason, exit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_the_existing_agent_is_understood() {
        let task = crate::id::IdStream::seeded(1).next();
        let node: NodeId = crate::id::IdStream::seeded(2).next();
        let report = |json: &str| {
            let mut report: StatusReport = serde_json::from_str(json).unwrap();
            report.node_id = node.to_string();
            report.parse(task)
        };
        let (of, failed) = report(r#"{"status":"failed","exit_code":3,"container_id":"c"}"#).unwrap();
        assert_eq!((of, failed.container), (node, Some(ContainerId("c".to_owned()))));
        let TaskStatus::Failed(failure) = failed.status else { panic!("{:?}", failed.status) };
        assert_eq!((failure.kind, failure.reason.as_str()), (FailureKind::Exited, "exit 3"));
        let (_, port) =
            report(r#"{"status":"failed","failure_reason":"port allocation failed: taken"}"#).unwrap();
        assert!(matches!(port.status, TaskStatus::Failed(Failure { kind: FailureKind::Port, .. })));
        assert!(report(r#"{"status":"starting"}"#).is_err());
    }
}
