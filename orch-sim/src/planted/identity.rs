//! Parts of identity that are wrong.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use orch_auth::enrollment::EnrollmentChain;
use orch_auth::token::TokenCredentials;
use orch_core::id::{ClusterId, NodeId};
use orch_core::identity::{
    Action, Authorizer, BootstrapProof, Challenge, CredentialIssuer, CredentialValidator, Denied, Enrollment,
    EnrollmentRefused, IssuedCredential, NodePublicKey, NotRecognised, PresentedCredential, Principal,
    Proven, Recognised, RegistrationClaim, Scope,
};
use orch_core::name::NodeName;
use orch_core::node::Incarnation;
use orch_core::time::Timestamp;

use super::Planted;

/// One in so many is recognised wrongly, where it is a matter of now and then.
const FLAKY: u64 = 150;

/// The production credentials, recognised wrongly.
pub(crate) struct Faulty {
    inner: TokenCredentials,
    planted: Option<Planted>,
    newest: Mutex<BTreeMap<NodeId, Recognised>>,
    asked: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(inner: TokenCredentials, planted: Option<Planted>) -> Self {
        Self { inner, planted, newest: Mutex::default(), asked: AtomicU64::new(0) }
    }

    fn now_and_then(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) % FLAKY == FLAKY - 1
    }

    /// The newest of the node that was ever shown.
    fn newest(&self, shown: Recognised) -> Recognised {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.entry(shown.node).or_insert_with(|| shown.clone());
        if (shown.incarnation, shown.generation) > (known.incarnation, known.generation) {
            *known = shown;
        }
        known.clone()
    }
}

impl CredentialIssuer for Faulty {
    fn issue(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        generation: u64,
        entropy: [u8; 32],
    ) -> IssuedCredential {
        self.inner.issue(node, incarnation, generation, entropy)
    }
}

#[async_trait]
impl CredentialValidator for Faulty {
    async fn recognise(&self, presented: &PresentedCredential) -> Result<Recognised, NotRecognised> {
        let shown = self.inner.recognise(presented).await?;
        match self.planted {
            Some(Planted::FlakyValidator) if self.now_and_then() => Err(NotRecognised),
            Some(Planted::OlderGeneration) if self.now_and_then() => {
                Ok(Recognised { generation: shown.generation.saturating_sub(1), ..shown })
            }
            Some(Planted::DeadCredentialsLive) => Ok(self.newest(shown)),
            Some(Planted::AnyIncarnation) => {
                let incarnation = self.newest(shown.clone()).incarnation;
                Ok(Recognised { incarnation, ..shown })
            }
            _ => Ok(shown),
        }
    }
}

/// Takes any key for the first that a name was let in with.
pub(crate) struct AnyKey {
    pub(crate) inner: EnrollmentChain,
    pub(crate) keys: Mutex<BTreeMap<NodeName, NodePublicKey>>,
}

#[async_trait]
impl Enrollment for AnyKey {
    fn challenge(
        &self,
        cluster: ClusterId,
        incarnation: u64,
        now: Timestamp,
        entropy: [u8; 32],
    ) -> Challenge {
        self.inner.challenge(cluster, incarnation, now, entropy)
    }

    async fn prove(
        &self,
        cluster: ClusterId,
        claim: &RegistrationClaim,
        proof: &BootstrapProof,
        now: Timestamp,
    ) -> Result<Proven, EnrollmentRefused> {
        let mut proven = self.inner.prove(cluster, claim, proof, now).await?;
        if let Some((key, _)) = &mut proven.key {
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            *key = keys.entry(claim.name.clone()).or_insert_with(|| key.clone()).clone();
        }
        Ok(proven)
    }
}

/// Everybody may do everything.
pub(crate) struct Everybody;

impl Authorizer for Everybody {
    fn allows(&self, _: &Principal, _: Action, _: &Scope) -> Result<(), Denied> {
        Ok(())
    }
}
