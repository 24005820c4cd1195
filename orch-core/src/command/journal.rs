//! What decisions write beside the state: events and audit records about services, tasks and nodes.

use super::Ctx;
use crate::cluster::Transaction;
use crate::deployment::Deployment;
use crate::node::{Node, NodeStatus};
use crate::record::{AuditRecord, Event, EventKind, RelatedObject, Remark, Severity};
use crate::service::Service;
use crate::task::Task;

impl Ctx<'_> {
    /// An event about a service, good to know.
    pub(super) fn service_event(&mut self, kind: EventKind, service: &Service, message: String) -> Event {
        let mut event = self.event(kind, Severity::Info, RelatedObject::Service(service.id), message);
        event.namespace = Some(service.namespace.clone());
        event
    }

    /// An audit record about a service, in its namespace whatever the permit's scope.
    pub(super) fn service_audit(&mut self, action: &str, service: &Service) -> AuditRecord {
        let mut record = self.audit(action, "service", service.id);
        record.namespace = Some(service.namespace.clone());
        record.metadata.insert("name".to_owned(), service.spec.name.to_string());
        record
    }

    /// A deployment came to another status.
    pub(super) fn deployment_event(
        &mut self,
        severity: Severity,
        service: &Service,
        deployment: &Deployment,
    ) -> Event {
        let status = deployment.status.as_str();
        let mut message =
            format!("rollout of {} to version {} is {status}", service.spec.name, deployment.to_version);
        if let Some(reason) = &deployment.reason {
            message = format!("{message}: {reason}");
        }
        let mut event = self.service_event(EventKind::RolloutStatusChanged, service, message);
        event.severity = severity;
        event.details.insert("rollout_id".to_owned(), deployment.id.to_string());
        event.details.insert("status".to_owned(), status.to_owned());
        event
    }

    /// What a person did to a rollout, by whom and why, in a sentence.
    pub(super) fn steered(&mut self, verb: &str, because: Option<&Remark>) -> String {
        let why = because.map_or_else(String::new, |remark| format!(": {remark}"));
        format!("{verb} by {}{why}", self.who())
    }

    /// Says in an event who moved a rollout on, held it or broke it off, and why.
    pub(super) fn sign(&self, event: &mut Event, because: Option<&Remark>) {
        event.details.insert("by".to_owned(), self.who());
        if let Some(remark) = because {
            event.details.insert("why".to_owned(), remark.to_string());
        }
    }

    /// The audit record of that.
    pub(super) fn steering_audit(
        &mut self,
        action: &str,
        service: &Service,
        deployment: &Deployment,
        because: Option<&Remark>,
    ) -> AuditRecord {
        let mut audit = self.service_audit(action, service);
        audit.metadata.insert("rollout_id".to_owned(), deployment.id.to_string());
        if let Some(remark) = because {
            audit.metadata.insert("why".to_owned(), remark.to_string());
        }
        audit
    }

    /// An event about a task, in its namespace.
    pub(super) fn task_event(
        &mut self,
        kind: EventKind,
        severity: Severity,
        task: &Task,
        message: String,
    ) -> Event {
        let mut event = self.event(kind, severity, RelatedObject::Task(task.id), message);
        event.namespace = Some(task.namespace.clone());
        event.concern(task.service);
        event.details.insert("attempt".to_owned(), task.attempt.to_string());
        if let Some(node) = task.node {
            event.details.insert("node_id".to_owned(), node.to_string());
        }
        event
    }

    /// An event about a node, good to know.
    pub(super) fn node_event(&mut self, kind: EventKind, node: &Node, message: String) -> Event {
        let mut event = self.event(kind, Severity::Info, RelatedObject::Node(node.id), message);
        event.details.insert("name".to_owned(), node.name.to_string());
        event
    }

    /// An audit record about a node.
    pub(super) fn node_audit(&mut self, action: &str, node: &Node) -> AuditRecord {
        let mut record = self.audit(action, "node", node.id);
        record.metadata.insert("name".to_owned(), node.name.to_string());
        record
    }

    /// Writes that a node's status changed, if the word for it did.
    pub(super) fn note_node_status(
        &mut self,
        transaction: &mut Transaction,
        before: NodeStatus,
        node: &Node,
    ) {
        let (from, to) = (before.as_str(), node.status.as_str());
        if from == to {
            return;
        }
        let message = format!("node {} is {to}; it was {from}", node.name);
        let mut event = self.node_event(EventKind::NodeStatusChanged, node, message);
        if node.status == NodeStatus::Revoked {
            event.severity = Severity::Warning;
        }
        event.details.insert("from".to_owned(), from.to_owned());
        event.details.insert("to".to_owned(), to.to_owned());
        transaction.events.push(event);
    }
}
