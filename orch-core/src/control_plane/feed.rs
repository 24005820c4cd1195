//! What happens, as it happens: committed transactions, and events that are never stored.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::cluster::Committed;
use crate::identity::Scope;
use crate::record::Event;

/// How many items a slow listener may fall behind before it loses the oldest.
const CAPACITY: usize = 4_096;

#[derive(Clone, Debug)]
pub(super) enum Item {
    Committed(Arc<Committed>),
    Live(Arc<Event>),
    /// So many transactions are true that nobody saw: the state was read anew from the store.
    Unseen(u64),
}

pub(super) struct Feed {
    items: broadcast::Sender<Item>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self { items: broadcast::Sender::new(CAPACITY) }
    }

    /// Whether anybody listens: what only the feed would see need not be made otherwise.
    pub(super) fn has_listeners(&self) -> bool {
        self.items.receiver_count() > 0
    }

    pub(super) fn send(&self, item: Item) {
        // An error says that nobody listens.
        let _ = self.items.send(item);
    }

    /// An event that is never stored.
    pub(super) fn live(&self, event: Event) {
        self.send(Item::Live(Arc::new(event)));
    }

    pub(super) fn commits(&self) -> CommitFeed {
        CommitFeed { items: self.items.subscribe() }
    }

    pub(super) fn events(&self, scope: Scope) -> EventFeed {
        EventFeed { items: self.items.subscribe(), scope, waiting: Vec::new() }
    }
}

/// A listener fell behind and lost items, or the control plane itself had to read its store anew: the listener reads the
/// present state, and goes on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the listener fell behind and lost {lost} items")]
pub struct Lagged {
    /// How many.
    pub lost: u64,
}

/// Committed transactions, in order.
#[derive(Debug)]
pub struct CommitFeed {
    items: broadcast::Receiver<Item>,
}

impl CommitFeed {
    /// The next one; `None` once the control plane is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Arc<Committed>, Lagged>> {
        loop {
            match self.items.recv().await {
                Ok(Item::Committed(committed)) => return Some(Ok(committed)),
                Ok(Item::Live(_)) => {}
                Ok(Item::Unseen(lost)) | Err(broadcast::error::RecvError::Lagged(lost)) => {
                    return Some(Err(Lagged { lost }));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Events as they become durable, and those that never are, as far as a permit reaches.
#[derive(Debug)]
pub struct EventFeed {
    items: broadcast::Receiver<Item>,
    scope: Scope,
    /// The rest of the last transaction, newest first.
    waiting: Vec<Event>,
}

impl EventFeed {
    /// The next one; `None` once the control plane is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Event, Lagged>> {
        loop {
            if let Some(event) = self.waiting.pop() {
                return Some(Ok(event));
            }
            match self.items.recv().await {
                Ok(Item::Committed(committed)) => {
                    let visible = committed.transaction.events.iter().rev();
                    self.waiting.extend(visible.filter(|event| sees(&self.scope, event)).cloned());
                }
                Ok(Item::Live(event)) if sees(&self.scope, &event) => return Some(Ok((*event).clone())),
                Ok(Item::Live(_)) => {}
                Ok(Item::Unseen(lost)) | Err(broadcast::error::RecvError::Lagged(lost)) => {
                    return Some(Err(Lagged { lost }));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Events of a namespace, and those of the whole cluster.
pub(super) fn sees(scope: &Scope, event: &Event) -> bool {
    match scope {
        Scope::Cluster => true,
        Scope::Namespace(namespace) => event.namespace.as_ref().is_none_or(|of| of == namespace),
        Scope::Node(_) => false,
    }
}
