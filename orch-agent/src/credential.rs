//! [`Session`]: one registration's credential, in memory only, and its sequence numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use orch_core::agent::{AgentApiError, Authority, Registered};
use orch_core::node::Incarnation;
use orch_core::runtime::Owner;
use orch_core::secret::Secret;
use tokio::sync::watch;

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Register again, and touch no container.
    Renew(&'static str),
    /// The identity is revoked for good: stop the containers.
    Revoked,
}

impl Loss {
    /// What an error means for the session; `None` where it is still good.
    pub(crate) const fn of(error: &AgentApiError) -> Option<Self> {
        match error {
            AgentApiError::CredentialExpired => Some(Self::Renew("the credential has expired")),
            AgentApiError::NodeReset => Some(Self::Renew("the registration was reset")),
            AgentApiError::Unauthorized => Some(Self::Renew("the credential is not accepted")),
            AgentApiError::NodeRevoked => Some(Self::Revoked),
            _ => None,
        }
    }
}

/// A registration that is alive, as far as is known. Shared by all that talk to the control plane.
#[derive(Debug)]
pub(crate) struct Session {
    /// Which node of which cluster.
    pub(crate) owner: Owner,
    /// Which registration.
    pub(crate) incarnation: Incarnation,
    credential: Mutex<Secret<String>>,
    sequence: AtomicU64,
    lost: watch::Sender<Option<Loss>>,
}

impl Session {
    pub(crate) fn new(registered: &Registered) -> Self {
        Self {
            owner: Owner { cluster: registered.cluster, node: registered.node },
            incarnation: registered.incarnation,
            credential: Mutex::new(registered.credential.clone()),
            sequence: AtomicU64::new(0),
            lost: watch::Sender::new(None),
        }
    }

    /// What the next request shows: the newest credential, and a number of its own.
    pub(crate) fn authority(&self) -> Authority {
        Authority {
            node: self.owner.node,
            credential: self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            sequence: Some(self.sequence.fetch_add(1, Ordering::Relaxed) + 1),
        }
    }

    /// A heartbeat was answered with the next credential.
    pub(crate) fn rotate(&self, credential: Secret<String>) {
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = credential;
    }

    /// Ends the session if the error means that. Answers whether it did.
    pub(crate) fn judge(&self, error: &AgentApiError) -> bool {
        let Some(loss) = Loss::of(error) else { return false };
        self.lose(loss);
        true
    }

    pub(crate) fn lose(&self, loss: Loss) {
        self.lost.send_modify(|lost| {
            lost.get_or_insert(loss);
        });
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Completes once the session is over.
    pub(crate) async fn lost(&self) -> Loss {
        let mut lost = self.lost.subscribe();
        let lost = lost.wait_for(Option::is_some).await;
        lost.ok().and_then(|loss| *loss).expect("the sender lives in self, and the condition holds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::id::IdStream;

    #[test]
    fn each_request_has_its_own_number_and_the_newest_credential() {
        let mut ids = IdStream::seeded(1);
        let session = Session::new(&Registered {
            cluster: ids.next(),
            node: ids.next(),
            incarnation: Incarnation(1),
            credential: Secret::new("one".into()),
            ttl: std::time::Duration::from_secs(900),
            heartbeat_interval: std::time::Duration::from_secs(5),
            directives: Vec::new(),
        });
        assert_eq!(session.authority().sequence, Some(1));
        session.rotate(Secret::new("two".into()));
        let authority = session.authority();
        assert_eq!((authority.sequence, authority.credential.expose().as_str()), (Some(2), "two"));
        assert!(!format!("{session:?}").contains("two"));
    }

    #[test]
    fn only_what_ends_a_session_ends_it() {
        assert_eq!(Loss::of(&AgentApiError::CredentialSuperseded), None);
        assert_eq!(Loss::of(&AgentApiError::NodeActive), None);
        assert_eq!(Loss::of(&AgentApiError::NodeRevoked), Some(Loss::Revoked));
        assert!(matches!(Loss::of(&AgentApiError::CredentialExpired), Some(Loss::Renew(_))));
    }
}
