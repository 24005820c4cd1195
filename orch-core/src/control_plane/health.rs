//! Whether this control plane can do its work, for `readyz`.

use std::sync::Mutex;
use std::sync::PoisonError;

/// Whether the control plane can do its work.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It reads and writes.
    Ready,
    /// The store cannot be written at the moment. Reads go on, and heartbeats keep nodes alive.
    NotReady {
        /// A sentence for people.
        reason: String,
    },
    /// Another server has the right to write: what this one knows grows old.
    Fenced,
    /// It was shut down.
    Stopped,
}

impl Health {
    /// Whether requests should be sent here.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready)
    }
}

pub(super) struct HealthCell(Mutex<Health>);

impl HealthCell {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Health::Ready))
    }

    pub(super) fn get(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, health: Health) {
        let leads = if health.is_ready() { 1.0 } else { 0.0 };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health;
        super::metric::leader_status(leads);
    }
}
