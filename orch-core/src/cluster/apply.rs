//! The only mutation of a [`Cluster`]. Total: every change can be applied to every cluster.

use std::sync::Arc;

use super::{Change, Cluster, Key, Revision, Transaction};
use crate::id::ServiceId;
use crate::node::Node;
use crate::service::{ServiceStatus, Version};
use crate::task::Task;

impl Cluster {
    /// Makes a transaction true, as the next of the cluster's history.
    pub fn apply(&mut self, transaction: &Transaction) -> Revision {
        self.revision = self.revision.next();
        for change in &transaction.changes {
            self.apply_change(change);
        }
        self.revision
    }

    /// One change, without a revision of its own: what loads an image, and what drafts a transaction.
    pub(crate) fn apply_change(&mut self, change: &Change) {
        match change {
            Change::Namespace(row) => {
                self.namespaces.insert(row.name.clone(), Arc::clone(row));
            }
            Change::Node(row) => {
                self.put_node(row);
                self.index.capacity.put(row, self.index.usage.get(&row.id));
            }
            Change::Credential(row) => {
                self.credentials.insert(row.node, Arc::clone(row));
            }
            Change::EnrollmentToken(row) => {
                self.enrollment_tokens.insert(row.id, Arc::clone(row));
            }
            Change::Service(row) => {
                if let Some(before) = self.services.insert(row.id, Arc::clone(row)) {
                    self.index.service_by_name.remove(&(before.namespace.clone(), before.spec.name.clone()));
                }
                if row.status != ServiceStatus::Deleted {
                    self.index.service_by_name.insert((row.namespace.clone(), row.spec.name.clone()), row.id);
                }
            }
            Change::ServiceRevision(row) => {
                let before = self.service_revisions.insert((row.service, row.version), Arc::clone(row));
                if before.is_some_and(|before| before.pin != row.pin) {
                    self.tell_nodes_of(row.service, row.version);
                }
            }
            Change::Task(row) => {
                let before = self.tasks.insert(row.id, Arc::clone(row));
                self.index.replace_task(before.as_deref(), Some(row), self.revision);
            }
            Change::Deployment(row) => {
                self.deployments.insert(row.id, Arc::clone(row));
                self.index.deployments_by_service.insert((row.service, row.id));
            }
            Change::Receipt(row) => {
                self.receipts.insert(row.key.clone(), Arc::clone(row));
            }
            Change::User(row) => {
                self.users.insert(row.name.clone(), Arc::clone(row));
            }
            Change::ApiToken(row) => {
                self.api_tokens.insert(row.id, Arc::clone(row));
            }
            Change::Remove(key) => self.remove(key),
        }
    }

    /// What the tasks of a version are to run was told more exactly.
    fn tell_nodes_of(&mut self, service: ServiceId, version: Version) {
        let runs_or_waits = |task: &&Arc<Task>| {
            task.version == version || task.preparation.as_ref().is_some_and(|asked| asked.version == version)
        };
        let tasks = self.tasks_of_service(service).filter(runs_or_waits);
        let nodes: Vec<_> = tasks.filter_map(|task| task.node).collect();
        for node in nodes {
            self.index.desired_revision.insert(node, self.revision);
        }
    }

    /// A node's row, and its name; not yet among those that take tasks.
    pub(super) fn put_node(&mut self, row: &Arc<Node>) {
        let before = self.nodes.insert(row.id, Arc::clone(row));
        if let Some(before) = before.filter(|before| before.name != row.name) {
            self.index.node_by_name.remove(&before.name);
        }
        self.index.node_by_name.insert(row.name.clone(), row.id);
    }

    fn remove(&mut self, key: &Key) {
        match key {
            Key::Namespace(name) => {
                self.namespaces.remove(name);
            }
            Key::Node(id) => {
                if let Some(before) = self.nodes.remove(id) {
                    self.index.node_by_name.remove(&before.name);
                    self.index.usage.remove(id);
                    self.index.capacity.remove(*id);
                    self.index.desired_revision.remove(id);
                }
            }
            Key::Credential(id) => {
                self.credentials.remove(id);
            }
            Key::EnrollmentToken(id) => {
                self.enrollment_tokens.remove(id);
            }
            Key::Service(id) => {
                if let Some(before) = self.services.remove(id) {
                    let name = (before.namespace.clone(), before.spec.name.clone());
                    if self.index.service_by_name.get(&name) == Some(id) {
                        self.index.service_by_name.remove(&name);
                    }
                }
            }
            Key::ServiceRevision(service, version) => {
                self.service_revisions.remove(&(*service, *version));
            }
            Key::Task(id) => {
                if let Some(before) = self.tasks.remove(id) {
                    self.index.replace_task(Some(&before), None, self.revision);
                }
            }
            Key::Deployment(id) => {
                if let Some(before) = self.deployments.remove(id) {
                    self.index.deployments_by_service.remove(&(before.service, *id));
                }
            }
            Key::Receipt(key) => {
                self.receipts.remove(key);
            }
            Key::User(name) => {
                self.users.remove(name);
            }
            Key::ApiToken(id) => {
                self.api_tokens.remove(id);
            }
        }
    }
}
