//! Makes a durable group visible: the image, the feed, the bells of the nodes, the reasons for what is held back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::desired::{self, Bells};
use super::feed::{Feed, Item};
use super::liveness::Liveness;
use super::{metric, population};
use crate::cluster::{Change, Cluster, Committed, Key, Revision, Transaction};
use crate::id::ServiceId;
use crate::node::NodeStatus;
use crate::reconcile::Held;

/// What readers see.
pub(super) struct Published {
    image: watch::Sender<Arc<Cluster>>,
    held: Mutex<BTreeMap<ServiceId, Arc<[Held]>>>,
    /// Counts the changes of users.
    users: watch::Sender<u64>,
    pub(super) feed: Feed,
    pub(super) bells: Bells,
}

impl Published {
    pub(super) fn new(cluster: Cluster, liveness: &Liveness) -> Self {
        liveness.set_count(heartbeating(&cluster));
        population::recount(None, &cluster);
        Self {
            image: watch::Sender::new(Arc::new(cluster)),
            held: Mutex::default(),
            users: watch::Sender::new(0),
            feed: Feed::new(),
            bells: Bells::default(),
        }
    }

    pub(super) fn image(&self) -> Arc<Cluster> {
        Arc::clone(&self.image.borrow())
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Cluster>> {
        self.image.subscribe()
    }

    /// Wakes when something about users changed.
    pub(super) fn users(&self) -> watch::Receiver<u64> {
        self.users.subscribe()
    }

    pub(super) fn held(&self, service: ServiceId) -> Arc<[Held]> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&service).cloned().unwrap_or_else(|| Arc::new([]))
    }

    pub(super) fn set_held(&self, service: ServiceId, reasons: Vec<Held>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.is_empty() {
            held.remove(&service);
        } else {
            held.insert(service, reasons.into());
        }
    }

    /// A group became durable, and `after` is the image with it.
    pub(super) fn group(
        &self,
        after: &Cluster,
        group: Vec<Transaction>,
        liveness: &Liveness,
        took: Duration,
    ) {
        let before = self.image();
        metric::committed(group.len(), took);
        group.iter().for_each(|transaction| metric::applied(&before, transaction));
        population::follow(&before, &group);
        let woken = desired::changed_nodes(&before, after, &group);
        let changes = || group.iter().flat_map(|transaction| &transaction.changes);
        if changes().any(|change| matches!(change, Change::Node(_) | Change::Remove(Key::Node(_)))) {
            liveness.set_count(heartbeating(after));
        }
        self.image.send_replace(Arc::new(after.clone()));
        if changes().any(|change| matches!(change.key(), Key::User(_) | Key::ApiToken(_))) {
            self.users.send_modify(|count| *count += 1);
        }
        for change in changes() {
            match change {
                Change::Remove(Key::Node(node)) => {
                    liveness.forget(*node);
                    self.bells.remove(*node);
                }
                Change::Remove(Key::Service(service)) => self.set_held(*service, Vec::new()),
                _ => {}
            }
        }
        woken.into_iter().for_each(|node| self.bells.ring(node));
        for (revision, transaction) in (before.revision().0 + 1..).zip(group) {
            let committed = Committed { revision: Revision(revision), transaction: Arc::new(transaction) };
            self.feed.send(Item::Committed(Arc::new(committed)));
        }
    }

    /// The image was loaded anew: what lies between is not known.
    pub(super) fn reloaded(&self, cluster: &Cluster, liveness: &Liveness) {
        liveness.set_count(heartbeating(cluster));
        let before = self.image.send_replace(Arc::new(cluster.clone()));
        population::recount(Some(&before), cluster);
        self.users.send_modify(|count| *count += 1);
        self.bells.ring_all();
        let unseen = cluster.revision().0.saturating_sub(before.revision().0);
        if unseen > 0 {
            self.feed.send(Item::Unseen(unseen));
        }
    }
}

fn heartbeating(cluster: &Cluster) -> usize {
    cluster.nodes().filter(|node| node.status != NodeStatus::Revoked).count()
}
