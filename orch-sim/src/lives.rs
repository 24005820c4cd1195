//! Invariant 6, in the history that the feed tells: what is dead stays dead.

use std::collections::{BTreeMap, BTreeSet};

use orch_core::cluster::{Change, Cluster, Committed, Key};
use orch_core::id::NodeId;
use orch_core::identity::NodeCredential;
use orch_core::node::{Incarnation, NodeStatus};

use crate::door::Ledger;

/// The lives of all credentials that there ever were.
#[derive(Default)]
pub struct Lives {
    nodes: BTreeMap<NodeId, Life>,
}

#[derive(Default)]
struct Life {
    incarnation: Incarnation,
    /// Generations that are good now.
    alive: BTreeSet<u64>,
    /// The highest that ever was.
    newest: u64,
    /// This registration and those before it are over.
    ended: Option<Incarnation>,
    /// Revoked or removed.
    over: bool,
}

impl Lives {
    /// One transaction more.
    ///
    /// # Errors
    /// Something dead came back, or an agent that nobody stole from was taken for a thief.
    pub fn take(&mut self, committed: &Committed, ledger: &Ledger) -> Result<(), String> {
        for change in &committed.transaction.changes {
            match change {
                Change::Credential(row) => self.row(row)?,
                Change::Node(row) if row.status == NodeStatus::Revoked => self.of(row.id).over = true,
                Change::Node(row) if self.of(row.id).over => {
                    return Err(format!("6: node {} was revoked or removed, and came back", row.id));
                }
                Change::Remove(Key::Node(node)) => self.of(*node).over = true,
                Change::Remove(Key::Credential(node)) => self.end(*node),
                _ => {}
            }
        }
        let alarms = committed.transaction.audit.iter().filter(|one| one.action == "node.credential.reuse");
        for alarm in alarms {
            let stolen = ledger.with(|book| {
                let is = |(node, incarnation): &(NodeId, Incarnation)| {
                    alarm.target_id == node.to_string()
                        && alarm.metadata.get("incarnation") == Some(&incarnation.0.to_string())
                };
                book.stolen.iter().any(is)
            });
            if !stolen {
                return Err(format!("6: an honest agent was taken for a thief: {:?}", alarm.metadata));
            }
        }
        Ok(())
    }

    /// A whole image, where what led to it is not known.
    ///
    /// # Errors
    /// Something dead came back.
    pub fn take_image(&mut self, image: &Cluster) -> Result<(), String> {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            match image.node(node) {
                None => self.of(node).over = true,
                Some(row) if row.status == NodeStatus::Revoked => self.of(node).over = true,
                Some(_) if self.of(node).over => {
                    return Err(format!("6: node {node} was revoked or removed, and came back"));
                }
                Some(_) => {}
            }
            if image.credential(node).is_none() {
                self.end(node);
            }
        }
        image.credentials().try_for_each(|row| self.row(row))
    }

    fn of(&mut self, node: NodeId) -> &mut Life {
        self.nodes.entry(node).or_default()
    }

    fn end(&mut self, node: NodeId) {
        let life = self.of(node);
        life.alive.clear();
        life.ended = life.ended.max(Some(life.incarnation));
    }

    fn row(&mut self, row: &NodeCredential) -> Result<(), String> {
        let life = self.of(row.node);
        let wrong = |what: &str| Err(format!("6: of node {}, {what}", row.node));
        if life.over {
            return wrong("which is revoked or removed, a credential came to life");
        }
        if row.incarnation < life.incarnation || life.ended.is_some_and(|ended| row.incarnation <= ended) {
            return wrong("a registration that was over came back");
        }
        if row.incarnation > life.incarnation {
            *life = Life { incarnation: row.incarnation, ended: life.ended, ..Life::default() };
        }
        let alive: BTreeSet<u64> =
            [Some(row.current), row.next].into_iter().flatten().map(|issued| issued.generation).collect();
        if alive.iter().any(|one| *one <= life.newest && !life.alive.contains(one)) {
            return wrong("a credential that was dead came back");
        }
        life.newest = life.newest.max(alive.last().copied().unwrap_or_default());
        life.alive = alive;
        Ok(())
    }
}
