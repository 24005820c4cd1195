//! [`FetchedKeys`]: an issuer's keys, fetched when they are needed and no more often than is good for the issuer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use orch_core::BoxError;
use orch_core::env::SharedEnv;
use orch_core::time::Monotonic;

use super::jwks::{KeySet, PublicKey};

/// Where a key set comes from. Bounds its own time and size. Called at the rate that [`Freshness`] says.
#[async_trait]
pub trait FetchKeys: Send + Sync + 'static {
    /// The set as the issuer publishes it.
    async fn fetch(&self) -> Result<String, BoxError>;
}

/// How long fetched keys are good.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// They are fetched anew once they are so old.
    pub refresh_after: Duration,
    /// They are used so long where the issuer does not answer; afterwards nobody is let in by them. A key that the issuer
    /// withdrew is good no longer than that.
    pub stale_limit: Duration,
    /// The least time between two tries, whatever tokens ask for.
    pub least_interval: Duration,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            refresh_after: Duration::from_secs(10 * 60),
            stale_limit: Duration::from_secs(24 * 3600),
            least_interval: Duration::from_secs(10),
        }
    }
}

/// Keys that are fetched, with what is needed to do so.
pub struct FetchedKeys {
    source: Box<dyn FetchKeys>,
    env: SharedEnv,
    freshness: Freshness,
    state: Mutex<State>,
    /// One try at a time; who comes meanwhile waits for it.
    trying: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    /// The newest good set, and when it was fetched.
    keys: Option<(Arc<KeySet>, Monotonic)>,
    tried_at: Option<Monotonic>,
}

impl State {
    fn age(&self, now: Monotonic) -> Option<Duration> {
        self.keys.as_ref().map(|(_, fetched)| now.since(*fetched))
    }
}

/// There are no keys that may still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the issuer's keys could not be fetched")]
pub(super) struct NoKeys;

impl FetchedKeys {
    /// From a source, fetched at the first need.
    #[must_use]
    pub fn new(source: impl FetchKeys, env: SharedEnv, freshness: Freshness) -> Self {
        let (state, trying) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { source: Box::new(source), env, freshness, state, trying }
    }

    /// Fetches now, unless that was tried a moment ago. Answers whether there are keys.
    pub async fn warm_up(&self) -> bool {
        self.refresh(|state| state.keys.is_none()).await;
        self.state().keys.is_some()
    }

    /// The keys of that name.
    pub(super) async fn find(&self, kid: Option<&str>) -> Result<Vec<PublicKey>, NoKeys> {
        let old =
            self.state().age(self.env.monotonic()).is_none_or(|age| age >= self.freshness.refresh_after);
        if old {
            let after = self.freshness.refresh_after;
            let env = &self.env;
            self.refresh(|state| state.age(env.monotonic()).is_none_or(|age| age >= after)).await;
        }
        let found = self.known(kid)?;
        if !found.is_empty() || old {
            return Ok(found);
        }
        // A name that is not known may be a key that the issuer made a moment ago.
        let known = self.state().keys.map(|(_, fetched)| fetched);
        self.refresh(|state| state.keys.as_ref().map(|(_, fetched)| *fetched) == known).await;
        self.known(kid)
    }

    fn known(&self, kid: Option<&str>) -> Result<Vec<PublicKey>, NoKeys> {
        let now = self.env.monotonic();
        match self.state().keys {
            Some((keys, fetched)) if now.since(fetched) < self.freshness.stale_limit => Ok(keys.find(kid)),
            _ => Err(NoKeys),
        }
    }

    /// Tries once, where that is still needed when it is our turn and the last try is long enough ago.
    async fn refresh(&self, needed: impl Fn(&State) -> bool) {
        let _turn = self.trying.lock().await;
        let now = self.env.monotonic();
        {
            let mut state = self.state_mut();
            let too_soon = state.tried_at.is_some_and(|at| now.since(at) < self.freshness.least_interval);
            if too_soon || !needed(&state) {
                return;
            }
            state.tried_at = Some(now);
        }
        let fetched = self.source.fetch().await;
        let parsed = fetched.and_then(|text| KeySet::parse(&text).map_err(BoxError::from));
        match parsed {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the issuer's keys were fetched");
                self.state_mut().keys = Some((Arc::new(keys), self.env.monotonic()));
            }
            Err(error) => {
                let age = self.state().age(now).map(|age| age.as_secs());
                tracing::warn!(%error, age, "the issuer's keys could not be fetched; those fetched before are used on");
            }
        }
    }

    fn state(&self) -> State {
        self.state_mut().clone()
    }

    fn state_mut(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for FetchedKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchedKeys").field("freshness", &self.freshness).finish_non_exhaustive()
    }
}
