//! What happened: asked for by filter, listened to, and forgotten after a while.

use std::sync::Arc;
use std::time::Duration;

use super::query::{ReadAudit, ReadEvents};
use super::shared::Shared;
use super::{CommitFeed, ControlPlane, EventFeed};
use crate::env::EnvExt as _;
use crate::identity::{Permit, Scope};
use crate::name::Namespace;
use crate::record::{AuditRecord, Event};
use crate::store::{AuditFilter, EventFilter, StoreError};

/// How often what is past its time is removed.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// The most records that a filter is answered with.
pub const MOST_RECORDS: usize = 10_000;

impl ControlPlane {
    /// Events, newest first, as far as the permit reaches: those of its namespace, and cluster-wide ones.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events(
        &self,
        permit: &Permit<ReadEvents>,
        mut filter: EventFilter,
    ) -> Result<Vec<Event>, StoreError> {
        let Some(namespace) = narrow(permit.scope(), filter.namespace.take()) else { return Ok(Vec::new()) };
        filter.namespace = namespace;
        filter.limit = filter.limit.min(MOST_RECORDS);
        self.shared().parts.store.events(&filter).await
    }

    /// Audit records, newest first, as far as the permit reaches: cluster-wide ones only under a cluster-wide permit.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn audit(
        &self,
        permit: &Permit<ReadAudit>,
        mut filter: AuditFilter,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let Some(namespace) = narrow(permit.scope(), filter.namespace.take()) else { return Ok(Vec::new()) };
        filter.namespace = namespace;
        let wanted = filter.limit.min(MOST_RECORDS);
        filter.limit = wanted;
        let hidden = |record: &AuditRecord| record.namespace.is_none() && *permit.scope() != Scope::Cluster;
        loop {
            let mut records = self.shared().parts.store.audit(&filter).await?;
            let all = records.len() < filter.limit || filter.limit >= MOST_RECORDS;
            records.retain(|record| !hidden(record));
            // What was hidden must not shorten the answer: ask further back.
            if all || records.len() >= wanted {
                records.truncate(wanted);
                return Ok(records);
            }
            filter.limit = filter.limit.saturating_mul(4).min(MOST_RECORDS);
        }
    }

    /// Events from now on, those that are never stored included.
    #[must_use]
    pub fn subscribe(&self, permit: &Permit<ReadEvents>) -> EventFeed {
        self.shared().published.feed.events(permit.scope().clone())
    }

    /// Committed transactions from now on, for parts of the same process that hold no permit.
    #[must_use]
    pub fn commits(&self) -> CommitFeed {
        self.shared().published.feed.commits()
    }
}

/// The namespace to filter by; `None`: the permit reaches nothing of what is asked for.
fn narrow(scope: &Scope, asked: Option<Namespace>) -> Option<Option<Namespace>> {
    match scope {
        Scope::Cluster => Some(asked),
        Scope::Namespace(of) if asked.as_ref().is_none_or(|asked| asked == of) => Some(Some(of.clone())),
        Scope::Namespace(_) | Scope::Node(_) => None,
    }
}

/// Forgets, once an hour, what is older than the policy says. Beside the writer: it touches no state.
pub(super) async fn forget(shared: Arc<Shared>) {
    let (env, policy) = (&shared.parts.env, &shared.parts.policy);
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = env.sleep(PRUNE_EVERY) => {}
        }
        if !shared.health.get().is_ready() {
            continue;
        }
        let now = shared.clock.now();
        match shared.parts.store.prune(now - policy.keep_events, now - policy.keep_audit).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "removed history that is past its time"),
            Err(error) => tracing::warn!(%error, "history could not be pruned"),
        }
    }
}
