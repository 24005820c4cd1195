//! Health checks as they turn out: mostly well, and at times not, for a while.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use orch_agent::{ProbeTarget, Prober};
use orch_core::converge::ProbeOutcome;
use orch_core::env::{EnvExt as _, SharedEnv};

/// How long a task is as it is.
const SPELL: u64 = 9;

/// What the checks of one node find.
pub struct Checks {
    env: SharedEnv,
    /// How many spells of a thousand are bad.
    bad: AtomicU64,
    /// Ports of this node that ever answered well.
    succeeded: Mutex<BTreeSet<u16>>,
}

impl Checks {
    /// All is well.
    #[must_use]
    pub fn new(env: SharedEnv) -> Self {
        Self { env, bad: AtomicU64::new(0), succeeded: Mutex::default() }
    }

    /// Whether what owns a port ever answered well.
    #[must_use]
    pub fn has_succeeded(&self, port: u16) -> bool {
        self.succeeded.lock().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }

    fn success(&self, port: u16) -> ProbeOutcome {
        self.succeeded.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        ProbeOutcome::Success
    }

    /// From now on so many of a thousand spells are bad.
    pub fn set_bad(&self, per_mille: u64) {
        self.bad.store(per_mille, Ordering::Relaxed);
    }
}

#[async_trait]
impl Prober for Checks {
    async fn probe(&self, target: &ProbeTarget) -> ProbeOutcome {
        let bad = self.bad.load(Ordering::Relaxed);
        self.env.sleep(Duration::from_micros(self.env.random_u64() % 5_000)).await;
        if bad == 0 {
            return self.success(target.address.port());
        }
        // The same task answers alike through a spell: a check that fails does so in a row.
        let spell = self.env.monotonic().since_origin().as_secs() / SPELL;
        let mixed =
            (spell << 16 ^ u64::from(target.address.port())).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        match mixed % 1_000 {
            roll if roll < bad / 4 => ProbeOutcome::Unknown("the probe could not be made".to_owned()),
            roll if roll < bad => ProbeOutcome::Failure("it answers that it does not serve".to_owned()),
            _ => self.success(target.address.port()),
        }
    }
}
