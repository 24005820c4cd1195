//! How each registry has been doing: one that is away, or asked for less, is left alone for a while by all pulls together.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The longest that a registry is left alone.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// Why a registry is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It cannot be reached, or is out of order.
    Away,
    /// It answers that it was asked too much.
    TooMany,
}

impl Trouble {
    /// How long it is left alone the first time. Engines do not pass on what `Retry-After` says, so that has to be guessed.
    const fn first(self) -> Duration {
        match self {
            Self::Away => Duration::from_secs(1),
            Self::TooMany => Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Copy)]
struct Pause {
    trouble: Trouble,
    in_a_row: u32,
    until: Instant,
}

/// The registries that are left alone.
#[derive(Default)]
pub(super) struct Registries(Mutex<HashMap<String, Pause>>);

impl Registries {
    /// Why, and for how much longer, the registry is left alone; `None` if it may be asked.
    pub(super) fn pause(&self, registry: &str) -> Option<(Trouble, Duration)> {
        let pause = *self.lock().get(registry)?;
        let left = pause.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((pause.trouble, left))
    }

    /// The registry made trouble. Answers how long it is now left alone: twice as long each time in a row.
    pub(super) fn made_trouble(&self, registry: &str, trouble: Trouble) -> Duration {
        let now = Instant::now();
        let mut pauses = self.lock();
        let before = pauses.get(registry).filter(|pause| pause.trouble == trouble);
        // Pulls that were under way when the first one failed fail as well: that is the same trouble, not more of it.
        if let Some(pause) = before.filter(|pause| pause.until > now) {
            return pause.until - now;
        }
        let in_a_row = before.map_or(0, |pause| pause.in_a_row.saturating_add(1));
        let wait = trouble.first().saturating_mul(1 << in_a_row.min(16)).min(LONGEST);
        pauses.insert(registry.to_owned(), Pause { trouble, in_a_row, until: now + wait });
        wait
    }

    /// The registry does its work, whatever the answer was.
    pub(super) fn answered(&self, registry: &str) {
        self.lock().remove(registry);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pause>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// M50. Without the pause each task would ask the registry by a clock of its own.
    #[tokio::test(start_paused = true)]
    async fn a_registry_in_trouble_is_left_alone_for_longer_each_time_and_no_other_is() {
        let registries = Registries::default();
        assert_eq!(registries.pause("reg.example"), None);
        for expected in [30, 60, 120, 240, 300, 300] {
            assert_eq!(registries.made_trouble("reg.example", Trouble::TooMany), seconds(expected));
            tokio::time::advance(seconds(10)).await;
            let left = seconds(expected - 10);
            assert_eq!(registries.pause("reg.example"), Some((Trouble::TooMany, left)));
            assert_eq!(registries.made_trouble("reg.example", Trouble::TooMany), left, "the same trouble");
            assert_eq!(registries.pause("other.example"), None);
            tokio::time::advance(left).await;
            assert_eq!(registries.pause("reg.example"), None);
        }
        registries.answered("reg.example");
        assert_eq!(registries.made_trouble("reg.example", Trouble::Away), seconds(1));
        assert_eq!(registries.made_trouble("reg.example", Trouble::TooMany), seconds(30), "it said more");
    }
}
