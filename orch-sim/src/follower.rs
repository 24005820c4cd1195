//! Invariant 8: whoever replays the change feed onto an old image has the present one.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::FutureExt as _;
use orch_core::cluster::{Change, Cluster, Committed, Key, Transaction};
use orch_core::control_plane::{CommitFeed, ControlPlane};

use crate::planted::Planted;

/// A listener to one server, from its start.
pub struct Follower {
    feed: CommitFeed,
    image: Cluster,
    planted: Option<Planted>,
    heard: u64,
}

/// What came since the last look.
#[derive(Default)]
pub struct News {
    /// Transactions, in order.
    pub committed: Vec<Arc<Committed>>,
    /// Their rows.
    pub keys: BTreeSet<Key>,
    /// The server read its store anew, and what lay between is not known: the image was taken over whole.
    pub reloaded: bool,
}

impl Follower {
    /// Begins with the present image.
    #[must_use]
    pub fn new(control: &ControlPlane, planted: Option<Planted>) -> Self {
        let feed = control.commits();
        Self { feed, image: (*control.image()).clone(), planted, heard: 0 }
    }

    /// Replays what came, and compares the rows that it touched. `each` sees every transaction with the image before it.
    ///
    /// # Errors
    /// The replayed image is not the present one.
    pub fn follow(
        &mut self,
        present: &Cluster,
        mut each: impl FnMut(&Cluster, &Committed) -> Result<(), String>,
    ) -> Result<News, String> {
        let mut news = News::default();
        while let Some(item) = self.feed.next().now_or_never().flatten() {
            let Ok(committed) = item else {
                self.image = present.clone();
                news = News { reloaded: true, ..News::default() };
                continue;
            };
            self.heard += 1;
            if self.planted == Some(Planted::FeedDrops) && self.heard.is_multiple_of(50) {
                continue;
            }
            if self.planted == Some(Planted::FeedRepeats) && self.heard.is_multiple_of(50) {
                self.image.apply(&committed.transaction);
            }
            let committed = self.as_told(committed);
            if news.reloaded && committed.revision <= self.image.revision() {
                continue;
            }
            if committed.revision != self.image.revision().next() {
                let (has, came) = (self.image.revision(), committed.revision);
                return Err(format!("8: the feed goes from revision {has} to {came}"));
            }
            each(&self.image, &committed)?;
            self.image.apply(&committed.transaction);
            news.keys.extend(committed.transaction.changes.iter().map(Change::key));
            news.committed.push(committed);
        }
        if self.image.revision() != present.revision() {
            let (has, is) = (self.image.revision(), present.revision());
            return Err(format!("8: the feed leads to revision {has}, and the image is at {is}"));
        }
        match news.keys.iter().find(|key| row(&self.image, key) != row(present, key)) {
            Some(key) => Err(format!("8: {key:?} of the feed is not as in the image")),
            None => Ok(news),
        }
    }

    /// Every row, not only those that changed.
    ///
    /// # Errors
    /// The replayed image is not the present one.
    pub fn compare(&self, present: &Cluster) -> Result<(), String> {
        if self.image.rows().eq(present.rows()) {
            return Ok(());
        }
        Err(format!("8: the feed replayed to revision {} is not the image", present.revision()))
    }

    fn as_told(&self, committed: Arc<Committed>) -> Arc<Committed> {
        if self.planted != Some(Planted::FeedForgets) || !self.heard.is_multiple_of(50) {
            return committed;
        }
        let mut transaction = Transaction::clone(&committed.transaction);
        for change in &mut transaction.changes {
            if let Some(before) = row(&self.image, &change.key()) {
                *change = before;
            }
        }
        Arc::new(Committed { revision: committed.revision, transaction: Arc::new(transaction) })
    }

    /// The image, as the feed tells it.
    #[must_use]
    pub const fn image(&self) -> &Cluster {
        &self.image
    }
}

fn row(cluster: &Cluster, key: &Key) -> Option<Change> {
    match key {
        Key::Namespace(name) => {
            cluster.namespaces().find(|row| row.name == *name).cloned().map(Change::Namespace)
        }
        Key::Node(id) => cluster.node(*id).cloned().map(Change::Node),
        Key::Credential(id) => cluster.credential(*id).cloned().map(Change::Credential),
        Key::EnrollmentToken(id) => cluster.enrollment_token(*id).cloned().map(Change::EnrollmentToken),
        Key::Service(id) => cluster.service(*id).cloned().map(Change::Service),
        Key::ServiceRevision(id, version) => {
            cluster.service_revision(*id, *version).cloned().map(Change::ServiceRevision)
        }
        Key::Task(id) => cluster.task(*id).cloned().map(Change::Task),
        Key::Deployment(id) => cluster.deployment(*id).cloned().map(Change::Deployment),
        Key::Receipt(key) => cluster.receipt(key).cloned().map(Change::Receipt),
        Key::User(name) => cluster.user(name).cloned().map(Change::User),
        Key::ApiToken(id) => cluster.api_token(*id).cloned().map(Change::ApiToken),
    }
}
